"""One stream on CUDA, its step captured once and replayed: kernel launches dominate the time of small networks.

Unverified: benchmarks/results has no measurement of it yet, so `[sample] cuda_graphs` is off by default.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.models.contract import State
from charpipe.models.predictor import NetworkPredictor
from charpipe.models.resets import end_token_of

WARM_UP = 3
"""Steps before the capture, in which libraries choose their kernels and allocate."""


class GraphStream:
    """The plain path's step as a CUDA graph with its own memory."""

    def __init__(self, predictor: NetworkPredictor, state: State) -> None:
        self._token = torch.zeros(1, dtype=torch.int64, device=predictor.device)
        self._state = {name: value.clone() for name, value in state.items()}
        self._end_token, self._first = end_token_of(predictor.network), predictor.initial_state(1)
        side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(WARM_UP):
                predictor.step(self._token, self._state)
        torch.cuda.current_stream().wait_stream(side_stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits, after = predictor.step(self._token, self._state)
            for name, value in after.items():
                self._state[name].copy_(value)

    def step(self, token: int) -> NDArray[np.float32]:
        """Read a token; returns the logits of the next one, [V]."""
        if token == self._end_token:
            for name, value in self._first.items():
                self._state[name].copy_(value)
        self._token.fill_(token)
        self._graph.replay()
        found: NDArray[np.float32] = self._logits[0].cpu().numpy()
        return found

    @property
    def state(self) -> State:
        """The carried state, with batch size 1."""
        return {name: value.clone() for name, value in self._state.items()}
