"""One stream in compiled loops: PyTorch's own recurrent layers, packed for them, and the threads that share it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from charpipe.models.contract import State
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel
from charpipe.models.stepping import kernels
from charpipe.models.stepping.cells import Array
from charpipe.models.stepping.company import Company
from charpipe.models.stepping.kernels import Carried, Team, Weights

PART = 320 << 10
"""Bytes of weights from which a second core is worth the waiting for each other."""
LANES = 16
"""Units of a part are a multiple of this: a vector register's."""
TRIAL = 32
"""Blocks after which the number of threads that seemed slower is tried again."""
WORTH_SHARING = 16
"""Steps from which on it is worth waking the other threads."""
COMPANY = Company()


class CompiledStream:
    """PyTorch's RNN, GRU or LSTM inside the shell, stepped in float32 by compiled loops.

    The logits are those of the plain path but for rounding, and the same however many threads share the work.
    The weights are copied: a stream does not see a later update.
    """

    def __init__(self, network: LanguageModel, state: State, parts: int | None = None) -> None:
        recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
        self.layer, self.names = recurrence.layer, recurrence.names
        self.size, self.layers = self.layer.hidden_size, self.layer.num_layers
        self.vocabulary_size = network.vocabulary_size
        self.kind = kind_of(self.layer)
        self.parts = parts or _parts(network)
        self.weights = pack(network, self.parts)
        padded = self.weights.own.shape[2]
        self.carried = Carried(
            np.zeros((2, self.layers, padded), np.float32),
            np.zeros((self.layers, padded), np.float32),
            np.zeros((2, self.parts, self.weights.own.shape[3]), np.float32),
            np.zeros(self.weights.head_bias.shape, np.float32),
        )
        self.now = 0
        self.state = state
        self._pool = ThreadPoolExecutor(self.parts - 1) if self.parts > 1 else None
        self._pace: dict[int, float] = {}
        self._blocks = 0

    def step(self, token: int) -> NDArray[np.float32]:
        """Read a token; the logits of what comes next, [V]. The array is overwritten by the next step."""
        self.read(np.array([token], np.int64))
        logits: NDArray[np.float32] = self.carried.logits.reshape(-1)[: self.vocabulary_size]
        return logits

    def read(self, tokens: NDArray[np.int64]) -> None:
        """Read tokens that are known already."""
        self.run(kernels.read, len(tokens), tokens, self.now)

    def run(self, loop: Callable[..., int], steps: int, *arguments: Any) -> int:
        """What `loop(kind, weights, carried, team, *arguments)` returns after up to `steps` steps, which the
        threads make together; few steps one thread makes alone, and all of them where others are late."""
        threads = self._threads() if steps >= WORTH_SHARING and COMPANY.is_free() else 1
        began = perf_counter()
        teams = self._teams(threads)
        waiting = [
            self._pool.submit(loop, self.kind, self.weights, self.carried, team, *arguments)
            for team in teams[1:]
            if self._pool is not None
        ]
        made = loop(self.kind, self.weights, self.carried, teams[0], *arguments)
        for future in waiting:
            future.result()
        self.now ^= steps & 1
        if threads > 1 and teams[0].late[0] > kernels.LATE:
            COMPANY.was_late()
        elif steps >= WORTH_SHARING:
            self._pace[threads] = (perf_counter() - began) / steps
            if threads > 1:
                COMPANY.kept_up()
        return made

    def _teams(self, threads: int) -> list[Team]:
        counter, parting = np.zeros(1, np.int64), np.full(1, kernels.NEVER, np.int64)
        each = self.parts // threads
        return [
            Team(
                n * each,
                (n + 1) * each,
                threads,
                counter,
                np.zeros(1, np.int64),
                np.zeros(1, np.int64),
                parting,
            )
            for n in range(threads)
        ]

    def _threads(self) -> int:
        """All, or one where that turns out to be as quick."""
        self._blocks += 1
        if self.parts == 1 or self._blocks == 1:
            return self.parts  # the first call compiles and loads, and says nothing about the pace
        if self._blocks == 2:
            self._pace.clear()
            return self.parts
        for untried in (self.parts, 1):
            if untried not in self._pace:
                return untried
        if self._blocks % TRIAL == 0:
            return max(self._pace, key=self._pace.__getitem__)
        return min(self._pace, key=self._pace.__getitem__)

    @property
    def state(self) -> State:
        """The carried state, with a batch of one."""
        values = {"hidden": self.carried.hidden[self.now], "cell": self.carried.cell}
        return {name: torch.from_numpy(values[name][:, : self.size].copy())[:, None] for name in self.names}

    @state.setter
    def state(self, state: State) -> None:
        places = {"hidden": self.carried.hidden[self.now], "cell": self.carried.cell}
        for name in self.names:
            places[name][:, : self.size] = state[name][:, 0].numpy()


def pack(network: LanguageModel, parts: int) -> Weights:
    """The weights as the loops want them: cut into parts, padded with units that stay zero."""
    layer: nn.RNNBase = network.recurrence.layer  # type: ignore[assignment]
    size, layers = layer.hidden_size, layer.num_layers
    units = LANES * -(-size // (parts * LANES))
    padded = units * parts

    def gates(values: Array) -> Array:
        """[rows, gates * H] -> [P, rows, gates * units]"""
        rows, count = len(values), values.shape[1] // size
        room = np.zeros((rows, count, padded), np.float32)
        room[:, :, :size] = values.reshape(rows, count, size)
        cut = room.reshape(rows, count, parts, units).transpose(2, 0, 1, 3)
        return cut.reshape(parts, rows, count * units)

    def inputs(name: str, number: int) -> Array:
        return gates(_rows(_array(layer.get_parameter(f"{name}_l{number}")).T, padded))

    def bias(name: str, number: int) -> Array:
        if layer.bias:
            return _array(layer.get_parameter(f"{name}_l{number}"))[None]
        return np.zeros((1, len(layer.get_parameter("weight_hh_l0"))), np.float32)

    apart = kind_of(layer) == kernels.GRU
    given = [bias("bias_ih", n) + (0 if apart else bias("bias_hh", n)) for n in range(layers)]
    own_bias = [gates(bias("bias_hh", n) * np.float32(apart))[:, 0] for n in range(layers)]
    own = np.stack([inputs("weight_hh", n) for n in range(layers)], 1)
    below = [inputs("weight_ih", n) for n in range(1, layers)]
    width = -(-network.vocabulary_size // parts)
    head = np.zeros((padded + 1, parts * width), np.float32)
    head[:size, : network.vocabulary_size] = _array(network.head.weight).T
    head[-1, : network.vocabulary_size] = _array(network.head.bias)
    head = np.ascontiguousarray(head.reshape(padded + 1, parts, width).transpose(1, 0, 2))
    return Weights(
        table=gates(input_table(network) + given[0]),
        below=np.stack(below, 1) if below else np.zeros((parts, 0, *own.shape[2:]), np.float32),
        own=own,
        bias=np.stack([gates(values)[:, 0] for values in given], 1),
        own_bias=np.stack(own_bias, 1),
        head=np.ascontiguousarray(head[:, :-1]),
        head_bias=np.ascontiguousarray(head[:, -1]),
    )


def input_table(network: LanguageModel) -> Array:
    """What each character adds to the first layer's gates, [V, gates]: the product with its one-hot row."""
    weights = network.recurrence.layer.get_parameter("weight_ih_l0").detach()  # type: ignore[union-attr]
    if network.embedding is None:
        return _array(weights.T)
    return _array(network.embedding.weight.detach() @ weights.T)


def _rows(values: Array, count: int) -> Array:
    room = np.zeros((count, values.shape[1]), np.float32)
    room[: len(values)] = values
    return room


def _array(values: torch.Tensor) -> Array:
    return np.ascontiguousarray(values.detach().numpy())


def kind_of(layer: nn.RNNBase) -> int:
    """Which of the kernels steps this layer."""
    if isinstance(layer, nn.RNN):
        return kernels.RELU if layer.mode == "RNN_RELU" else kernels.RNN
    return kernels.LSTM if isinstance(layer, nn.LSTM) else kernels.GRU


def _parts(network: LanguageModel) -> int:
    """A core for each so many weights, as far as there are cores."""
    layer: nn.RNNBase = network.recurrence.layer  # type: ignore[assignment]
    rows, size = layer.get_parameter("weight_hh_l0").shape
    bytes_ = 4 * (rows * size * (2 * layer.num_layers - 1) + network.vocabulary_size * size)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, 8, bytes_ // PART))
