"""One stream in compiled loops, and the threads that share a step."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.kernels.step import loops
from charpipe.kernels.step.backoff import Backoff
from charpipe.kernels.step.cell_kernel import cell_address
from charpipe.kernels.step.loops import StepBuffers, Worker
from charpipe.kernels.step.network import StepNetwork
from charpipe.kernels.step.states import as_array, as_given, has_tensors
from charpipe.kernels.step.weights import pack

MIN_PART = 320 << 10
"""Bytes of weights for each core; with fewer, waiting for each other costs more than it gains."""
MAX_PARTS = 8
RETRY = 32
"""Calls after which the number of threads that was slower is tried again."""
MIN_STEPS = 16
"""Steps in a call from which on other threads are worth waking."""
BACKOFF = Backoff()
"""Of all streams of the process: other programs slow all of them down."""


class CompiledStream:
    """Layers with known equations inside the shell, stepped in float32 by compiled loops.

    The logits are those of the plain path but for rounding, and the same for any number of threads.
    The weights are copied: a stream does not see a later update.
    """

    def __init__(self, modules: StepNetwork, state: Mapping[str, Any], parts: int | None = None) -> None:
        self.state_names, self.size = modules.state_names, modules.hidden_size
        self.vocabulary_size, self._end_token = modules.vocabulary_size, modules.end_token
        self.cell = cell_address(modules.trace, fast=False)
        self.parts = parts or _part_count(modules)
        self.weights = pack(modules, self.parts)
        padded, others = self.weights.vectors.shape[2], len(self.state_names) - 1
        self.buffers = StepBuffers(
            np.zeros((2, modules.layers, padded), np.float32),
            np.zeros((modules.layers, others, padded), np.float32),
            np.zeros((self.parts, self.weights.bias.shape[2]), np.float32),
            np.zeros(self.weights.head_bias.shape, np.float32),
        )
        self.slot = 0
        self._tensors = has_tensors(state)
        self.set_state(state)
        self._pool = ThreadPoolExecutor(self.parts - 1) if self.parts > 1 else None
        self._seconds: dict[int, float] = {}
        """of a step, by the number of threads"""
        self._calls = 0

    def step(self, token: int) -> NDArray[np.float32]:
        """Read a token; the logits of the next one, [V]. The array is overwritten by the next step."""
        if token == self._end_token:
            for values in self._carried().values():
                values.fill(0)
        self.read(np.array([token], np.int64))
        logits: NDArray[np.float32] = self.buffers.logits.reshape(-1)[: self.vocabulary_size]
        return logits

    def read(self, tokens: NDArray[np.int64]) -> None:
        """Read tokens that are known already."""
        self.run(loops.read_tokens, len(tokens), tokens, self.slot)

    def run(self, loop: Callable[..., int], steps: int, *arguments: Any) -> int:
        """The result of `loop(cell, weights, buffers, worker, *arguments)`, which makes up to `steps` steps, by several
        threads; by one if they are few, or if other threads were late before."""
        threads = self._choose_threads() if steps >= MIN_STEPS and BACKOFF.is_over() else 1
        began = perf_counter()
        shared = self.cell, self.weights, self.buffers
        first, *others = self._workers(threads)
        pending = [
            self._pool.submit(loop, *shared, worker, *arguments)
            for worker in others
            if self._pool is not None
        ]
        made = loop(*shared, first, *arguments)
        for future in pending:
            future.result()
        self.slot ^= steps & 1
        if threads > 1 and first.sleeps[0] > loops.MAX_SLEEPS:
            BACKOFF.extend()
        elif steps >= MIN_STEPS:
            self._seconds[threads] = (perf_counter() - began) / steps
            if threads > 1:
                BACKOFF.reset()
        return made

    def _workers(self, threads: int) -> list[Worker]:
        arrivals, alone_after = np.zeros(1, np.int64), np.full(1, loops.NEVER, np.int64)
        each = self.parts // threads
        return [
            Worker(
                first=n * each,
                end=(n + 1) * each,
                threads=threads,
                arrivals=arrivals,
                awaited=np.zeros(1, np.int64),
                sleeps=np.zeros(1, np.int64),
                alone_after=alone_after,
            )
            for n in range(threads)
        ]

    def _choose_threads(self) -> int:
        """All, or one where that turns out to be as fast."""
        self._calls += 1
        if self.parts == 1 or self._calls == 1:
            return self.parts  # the first call compiles and loads, so that its time says nothing
        if self._calls == 2:
            self._seconds.clear()
            return self.parts
        for untried in (self.parts, 1):
            if untried not in self._seconds:
                return untried
        if self._calls % RETRY == 0:
            return max(self._seconds, key=self._seconds.__getitem__)
        return min(self._seconds, key=self._seconds.__getitem__)

    @property
    def state(self) -> dict[str, Any]:
        """A copy of the carried state, with a batch of one; tensors where the first state was made of tensors."""
        carried = {name: values[:, None, : self.size].copy() for name, values in self._carried().items()}
        return as_given(carried, self._tensors)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state with a batch of one."""
        for name, values in self._carried().items():
            values[:, : self.size] = as_array(state[name])[:, 0]

    def _carried(self) -> dict[str, NDArray[np.float32]]:
        """The carried arrays by name, [layers, H padded] each."""
        others = self.buffers.carry.transpose(1, 0, 2)
        return dict(zip(self.state_names, (self.buffers.hidden[self.slot], *others), strict=True))


def _part_count(modules: StepNetwork) -> int:
    """A part for each core, as far as there are enough weights."""
    size, layers, trace = modules.hidden_size, modules.layers, modules.trace
    gates = len(trace.hidden_gates) * layers + len(trace.input_gates) * (layers - 1)
    bytes_ = 4 * size * (gates * size + modules.vocabulary_size)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, MAX_PARTS, bytes_ // MIN_PART))
