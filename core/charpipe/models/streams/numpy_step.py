"""The step of recurrent layers over numpy arrays, for one stream, made from the trace of their cell.

sigmoid(a) = (tanh(a / 2) + 1) / 2, so that one call of tanh computes all gates that are used only through a sigmoid or
a tanh; the factor 1/2 is multiplied into the weights beforehand, which is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from charpipe.cells import Expression
from charpipe.cells.traversal import in_order
from charpipe.kernels.step.gate_order import gate_activation, gate_order
from charpipe.kernels.step.network import Array, StepNetwork
from charpipe.kernels.step.weights import (
    cell_vectors,
    gate_biases,
    hidden_weights,
    input_table,
    input_weights,
    ordered_input,
)
from charpipe.models.streams.numpy_source import MAY_WARN, CellSource, Source, tanh_to_sigmoid

BLOCK = 1 << 18
"""Numbers of a weight matrix in one call of the BLAS: few enough that it uses one core. A second one costs more than it
gains here, and milliseconds where the machine has other work."""
MANY_INPUTS = 512
"""With so many inputs a product is a tenth faster if each output's weights are contiguous (column-major)."""


def blocks(weights: Array, out: Array) -> list[tuple[Array, Array]]:
    """Blocks of the columns of `weights` [K, N], each with the part of `out` [N] for its product."""
    width = max(1, BLOCK // len(weights))
    order: Literal["C", "F"] = "F" if len(weights) >= MANY_INPUTS else "C"
    starts = range(0, weights.shape[1], width)
    return [(np.array(weights[:, i : i + width], order=order), out[i : i + width]) for i in starts]


class NumpyStep:
    """The step of all layers and the head, with their carried state.

    `hidden` [layers * H] holds each layer's output, layer after layer, so that the outputs of the layer below and a
    layer's own are contiguous, and one product is enough where both feed all gates.
    """

    step: Callable[[int], Array]
    """Reads a token; the logits of the next one, [V], overwritten by the next step."""

    def __init__(self, modules: StepNetwork, carried: Mapping[str, Array]) -> None:
        self.trace, self.size = modules.trace, modules.hidden_size
        first, *others = (carried[name] for name in self.trace.state)
        self.hidden: Array = first.reshape(-1)
        self.others: list[Array] = others
        self.source = Source()
        for number in range(modules.layers):
            _Layer(self, modules, number).emit()
        weights, bias = modules.head_arrays()
        head, bias = np.ascontiguousarray(weights.T), bias.copy()
        logits = np.empty_like(bias)
        self.product(self.hidden[-self.size :], head, logits)
        self.add(logits, bias)
        operations = {one.operation for one in in_order(self.trace.results)}
        quiet = not operations.isdisjoint(MAY_WARN)
        self.step = self.source.function("token", self.source.name(logits), quiet=quiet)

    def state(self) -> dict[str, Array]:
        """A copy of the carried state, [layers, H] each."""
        values = [self.hidden.reshape(-1, self.size), *self.others]
        return {name: each.copy() for name, each in zip(self.trace.state, values, strict=True)}

    def product(self, inputs: Array, weights: Array, out: Array) -> None:
        """Emit out [N] = inputs [K] @ weights [K, N]."""
        name = self.source.name(inputs)
        for piece, part in blocks(weights, out):
            self.source.call("dot", name, self.source.name(piece), self.source.name(part))

    def add(self, values: Array, more: Array) -> None:
        """Emit values += more, unless that is zero."""
        if more.any():
            name = self.source.name(values)
            self.source.call("add", name, self.source.name(more), name)


class _Layer:
    """Emits the step of one layer. Gates are in `gate_order`: the first `inputs` have an input, the last `hiddens` a
    hidden part, and of the others `only_input` have no hidden part."""

    def __init__(self, network: NumpyStep, modules: StepNetwork, number: int) -> None:
        self.network, self.modules, self.number = network, modules, number
        self.source, self.trace, self.size = network.source, network.trace, network.size
        self.inputs, self.hiddens = len(self.trace.input_gates), len(self.trace.hidden_gates)
        self.only_input = len(self.trace.gates) - self.hiddens
        self.both = self.inputs - self.only_input
        names = [self.trace.gates[i] for i in gate_order(self.trace)]
        self.activations = [gate_activation(self.trace, name) for name in names]
        self.gates = [_activated(name, each) for name, each in zip(names, self.activations, strict=True)]
        halves = [0.5 if each == "sigmoid" else 1.0 for each in self.activations]
        self.halves = np.array(halves, np.float32)[:, None]
        self.bias = gate_biases(modules, number) * self.halves
        self.values: dict[Expression, str] = {}
        self.writable: set[str] = set()

    def emit(self) -> None:
        """The lines of the layer's step."""
        network, number = self.network, self.number
        states = [self._part(number), *(each[number] for each in network.others)]
        names = [self.source.name(each) for each in states]
        for name, state in zip(self.trace.state, names, strict=True):
            self.values[Expression("state", name=name)] = state
        for name, vector in zip(self.trace.vectors, cell_vectors(self.modules, number), strict=True):
            self.values[Expression("vector", name=name)] = self.source.name(vector)
        if number == 0:
            self._sums_of_tokens()
        elif self.both == len(self.gates):
            self._joined_sums()
        else:
            self._separate_sums()
        CellSource(self.source, self.trace, self.size, self.values, names, self.writable).emit()

    def _part(self, first: int, layers: int = 1) -> Array:
        return self.network.hidden[first * self.size : (first + layers) * self.size]

    def _sums_of_tokens(self) -> None:
        """In the first layer what the input adds is a row of a table, in which gates without a hidden part are
        activated already."""
        table = ordered_input(self.modules, input_table(self.modules)) * self.halves[: self.inputs]
        table += self.bias[: self.inputs]
        for i in range(self.only_input):
            rows = list(_activate(table[:, i], self.activations[i]))
            self.values[self.gates[i]] = self.source.item(rows, "token")
        if not self.hiddens:
            return
        sums = np.empty(self.hiddens * self.size, np.float32)
        self.network.product(self._part(0), self._hidden_weights(), sums)
        if self.both:
            constant = np.broadcast_to(
                self.bias[self.inputs :], (len(table), *self.bias[self.inputs :].shape)
            )
            added = np.concatenate([table[:, self.only_input :], constant], 1).reshape(len(table), -1)
            name = self.source.name(sums)
            self.source.call("add", name, self.source.item(list(added), "token"), name)
        else:
            self.network.add(sums, self.bias.reshape(-1)[-len(sums) :])
        self._activate_sums(sums, range(-self.only_input, self.hiddens))

    def _joined_sums(self) -> None:
        """Both products feed all gates: one product."""
        sums = np.empty(len(self.gates) * self.size, np.float32)
        weights = np.concatenate([self._input_weights(), self._hidden_weights()])
        self.network.product(self._part(self.number - 1, 2), weights, sums)
        self.network.add(sums, self.bias.reshape(-1))
        self._activate_sums(sums, range(len(self.gates)))

    def _separate_sums(self) -> None:
        """The sums of both products one after the other: INPUT, BOTH from the input, BOTH from the layer, HIDDEN."""
        size, inputs, both = self.size, self.inputs, self.both
        sums = np.empty((inputs + self.hiddens) * size, np.float32)
        self.network.product(self._part(self.number - 1), self._input_weights(), sums[: inputs * size])
        if self.hiddens:
            self.network.product(self._part(self.number), self._hidden_weights(), sums[inputs * size :])
        bias = [self.bias[:inputs], np.zeros((both, size), np.float32), self.bias[inputs:]]
        self.network.add(sums, np.concatenate(bias).reshape(-1))
        if both:
            first, second = sums[self.only_input * size : inputs * size], sums[inputs * size :][: both * size]
            name = self.source.name(first)
            self.source.call("add", name, self.source.name(second), name)
        self._activate_sums(sums, [i if i < inputs else i + both for i in range(len(self.gates))])

    def _input_weights(self) -> Array:
        """[inputs, gates * H]"""
        weights = input_weights(self.modules, self.number) * self.halves[: self.inputs]
        return weights.reshape(len(weights), -1)

    def _hidden_weights(self) -> Array:
        """[H, gates * H]"""
        weights = hidden_weights(self.modules, self.number) * self.halves[-self.hiddens :]
        return weights.reshape(len(weights), -1)

    def _activate_sums(self, sums: Array, places: Sequence[int]) -> None:
        """Emit the activations of gates, of which gate i is at place `places[i]` in `sums`; none where that is
        negative. Neighbours are activated by one call."""
        found = {place: i for i, place in enumerate(places) if place >= 0}
        for kinds, emit in ((("sigmoid", "tanh"), self._tanh), (("sigmoid",), self._to_sigmoid)):
            activated = [place for place, i in found.items() if self.activations[i] in kinds]
            for start, end in _runs(activated):
                emit(self.source.name(sums[start * self.size : end * self.size]))
        for place, i in found.items():
            name = self.source.name(sums[place * self.size : (place + 1) * self.size])
            self.values[self.gates[i]] = name
            self.writable.add(name)

    def _tanh(self, name: str) -> None:
        self.source.call("tanh", name, name)

    def _to_sigmoid(self, name: str) -> None:
        tanh_to_sigmoid(self.source, name)


def _activated(name: str, activation: str) -> Expression:
    """What is used of a gate: its sum, or its one activation."""
    gate = Expression("gate", name=name)
    return Expression(activation, gate) if activation else gate


def _activate(values: Array, activation: str) -> Array:
    """The activation of sums, which are halved for a sigmoid."""
    if not activation:
        return values
    found = np.tanh(values)
    return (found + 1) * np.float32(0.5) if activation == "sigmoid" else found


def _runs(places: list[int]) -> Iterator[tuple[int, int]]:
    """The first and the place after the last of each run of successive places."""
    for start in places:
        if start - 1 not in places:
            end = start
            while end in places:
                end += 1
            yield start, end
