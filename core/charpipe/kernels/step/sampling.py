"""The whole sampling loop, compiled by numba: step, decoders, draw."""

from __future__ import annotations

from typing import Any

import numpy as np

from charpipe.kernels.jit.numba_functions import compiled
from charpipe.kernels.step.decoders import apply_decoders
from charpipe.kernels.step.loops import StepBuffers, Worker, first_is_alone, step
from charpipe.kernels.step.weights import StepWeights


@compiled
def draw(scores: Any, noise: Any) -> Any:
    """The index of the largest sum of scores [V] and Gumbel noise [V]; -1 if there is none, or a NaN."""
    best, largest = -1, -np.inf
    for j in range(scores.shape[0]):
        value = scores[j] + noise[j]
        if np.isnan(value):
            return -1
        if value > largest:
            best, largest = j, value
    return best


@compiled
def choose(logits: Any, scores: Any, addresses: Any, numbers: Any, noise: Any) -> Any:
    """A token from logits [P, W]; `scores` is scratch memory [V]."""
    for j in range(scores.shape[0]):
        scores[j] = logits[j // logits.shape[1], j % logits.shape[1]]
    apply_decoders(scores, addresses, numbers)
    return draw(scores, noise)


@compiled
def sample_tokens(
    cell: Any,
    w: StepWeights,
    buffers: StepBuffers,
    worker: Worker,
    token: Any,
    slot: Any,
    addresses: Any,
    numbers: Any,
    noise: Any,
    out: Any,
) -> int:
    """Sample the tokens after `token` into `out` [n], one for each row of `noise` [n, V]. Returns how many could be
    drawn: fewer if scores are not numbers.

    Each thread draws for itself, from the same logits and noise, so that none waits for another's draw.
    """
    scores = np.empty(noise.shape[1], np.float64)
    for i in range(noise.shape[0]):
        if worker.first > 0 and first_is_alone(worker):
            return i
        slot = 1 - slot
        step(cell, w, buffers, worker, token, slot, True)
        token = choose(buffers.logits, scores, addresses, numbers, noise[i])
        if token < 0:
            return i
        if worker.first == 0:
            out[i] = token
    return noise.shape[0]  # type: ignore[no-any-return]
