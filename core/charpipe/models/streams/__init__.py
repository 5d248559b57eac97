"""Models read token by token, as sampling needs them: one stream or a batch of streams.

A stream is stepped by any predictor (`stepwise`), by numpy (`arrays`), by the compiled loops of
`charpipe.kernels.step`, or by a CUDA graph (`cuda_graphs`); `selection` chooses.
"""
