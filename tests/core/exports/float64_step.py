"""The step of a network with 8-bit weights in float64, by numpy, from the trace of its cell: what the page's script is
compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from charpipe.cells import Expression
from charpipe.cells.traversal import evaluate
from charpipe.exports.quantised import Matrix
from charpipe.kernels.modules import NetworkModules

OPERATIONS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "exp": np.exp,
    "log": np.log,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "less": np.less,
    "less_equal": np.less_equal,
    "where": np.where,
}


class Float64Step:
    """Reads tokens; `read` returns the logits [V] of the next one."""

    def __init__(self, modules: NetworkModules) -> None:
        self.modules, self.trace = modules, modules.trace
        zeros = np.zeros(modules.hidden_size)
        self.state = [[zeros for _ in self.trace.state] for _ in range(modules.layers)]

    def read(self, token: int) -> Any:
        modules = self.modules
        if modules.embedding is None:
            values = np.eye(modules.vocabulary_size)[token]
        else:
            values = double(modules.embedding.weight)[token]
        for number in range(modules.layers):
            values = self._layer(number, values)
        return double(modules.head.weight) @ values + double(modules.head.bias)

    def _layer(self, number: int, values: Any) -> Any:
        trace, size = self.trace, self.modules.hidden_size
        sums = np.zeros((len(trace.gates), size))
        for name, gates, given in (
            ("ih", trace.input_gates, values),
            ("hh", trace.hidden_gates, self.state[number][0]),
        ):
            if gates:
                weights, bias = (
                    double(self.modules.layer_parameter(f"{kind}_{name}", number))
                    for kind in ("weight", "bias")
                )
                sums[list(gates)] += (weights @ given + bias).reshape(len(gates), size)
        leaves = {Expression("gate", name=name): each for name, each in zip(trace.gates, sums, strict=True)}
        leaves |= {
            Expression("state", name=name): each
            for name, each in zip(trace.state, self.state[number], strict=True)
        }
        leaves |= {
            Expression("vector", name=name): double(self.modules.layer_parameter(name, number))
            for name in trace.vectors
        }
        after = evaluate(trace.results, leaves, OPERATIONS, float)
        self.state[number] = [np.broadcast_to(each, (size,)) for each in after]
        return self.state[number][0]


def double(values: Any) -> Any:
    """The numbers that the page has, in float64: of a matrix those that its 8 bits stand for."""
    if values.ndim == 2:
        matrix = Matrix.of(values)
        return matrix.numbers.astype(np.float64) * matrix.scale.astype(np.float64)[:, None]
    return values.detach().double().numpy()


class Mulberry32:
    """The page's random numbers (Tommy Ettinger's mulberry32)."""

    def __init__(self, seed: int) -> None:
        self.a = seed

    def next(self) -> float:
        self.a = (self.a + 0x6D2B79F5) & 0xFFFFFFFF
        t = (self.a ^ (self.a >> 15)) * (1 | self.a) & 0xFFFFFFFF
        t = ((t + ((t ^ (t >> 7)) * (61 | t) & 0xFFFFFFFF)) & 0xFFFFFFFF) ^ t
        return (t ^ (t >> 14)) / 4294967296


def draw(logits: Any, temperature: float, random: Mulberry32) -> int:
    """A token as the page draws it: from the cumulative probabilities."""
    if temperature == 0:
        return int(np.argmax(logits))
    chances = np.exp((logits - logits.max()) / temperature)
    left = random.next() * sum(chances.tolist())
    for token, chance in enumerate(chances.tolist()):
        left -= chance
        if left < 0:
            return token
    return int(np.argmax(logits))
