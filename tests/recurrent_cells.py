"""Recurrent cells for tests: some that the usual three differ from, and random ones."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as some
from torch import nn

from charpipe.cells import BOTH, HIDDEN, INPUT, Cell, exp, log, maximum, minimum, relu, sigmoid, tanh, where
from charpipe.models import LanguageModel, NetworkPredictor, TorchRecurrence
from charpipe.models.cell_layers import CellLayers
from charpipe.plugin import ArchitectureConfig


class PeepholeLstm(Cell):
    """Three gates see the cell through learnt vectors."""

    gates = {"input": BOTH, "forget": BOTH, "candidate": BOTH, "output": BOTH}
    state = ("hidden", "cell")
    vectors = {"to_input": 0.1, "to_forget": 0.2, "to_output": 0.3}

    def step(self, gates: Any, state: Any, vectors: Any) -> dict[str, Any]:
        i = sigmoid(gates.input + vectors.to_input * state.cell)
        f = sigmoid(gates.forget + vectors.to_forget * state.cell)
        cell = f * state.cell + i * tanh(gates.candidate)
        return {"hidden": sigmoid(gates.output + vectors.to_output * cell) * tanh(cell), "cell": cell}


class MinimalGatedUnit(Cell):
    """The candidate does not see the hidden units."""

    gates = {"update": BOTH, "candidate": INPUT}
    state = ("hidden",)

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        z = sigmoid(gates.update)
        return {"hidden": (1 - z) * state.hidden + z * tanh(gates.candidate)}


class NoHiddenGates(Cell):
    """As the SRU: no product with the hidden units."""

    gates = {"candidate": INPUT, "forget": INPUT, "reset": INPUT, "passed": INPUT}
    state = ("hidden", "cell")

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        f, r = sigmoid(gates.forget), sigmoid(gates.reset)
        cell = f * state.cell + (1 - f) * gates.candidate
        return {"hidden": r * tanh(cell) + (1 - r) * gates.passed, "cell": cell}


class HiddenOnly(Cell):
    """The two products meet in the cell alone; every other operation."""

    gates = {"a": INPUT, "b": HIDDEN, "c": HIDDEN}
    state = ("hidden", "trace")

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        larger = maximum(gates.a, gates.b) - minimum(gates.c, 0.1) / (1 + exp(tanh(state.trace)))
        kept = where(larger > 0, larger, 0.1 * larger) + log(1 + relu(gates.c))
        return {"hidden": tanh(kept), "trace": 0.5 * state.trace + sigmoid(kept)}


class Shifted(Cell):
    """States that take each other's places, and one that is a gate as it is."""

    gates = {"a": BOTH, "b": INPUT, "unused_by_tanh": BOTH}
    state = ("hidden", "first", "second", "third")

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        return {
            "hidden": tanh(gates.a + state.second) * sigmoid(gates.b),
            "first": state.hidden,
            "second": state.first,
            "third": gates.unused_by_tanh,
        }


class NanInPadding(Cell):
    """0 / 0 where weights and biases are zero, as in padding."""

    gates = {"a": BOTH, "b": INPUT}
    state = ("hidden",)

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        return {"hidden": tanh(gates.a * gates.b / gates.b)}


CELLS: dict[str, type[Cell]] = {
    each.__name__: each
    for each in (PeepholeLstm, MinimalGatedUnit, NoHiddenGates, HiddenOnly, Shifted, NanInPadding)
}


def predictor_of(
    cell: Cell,
    vocabulary_size: int,
    hidden_size: int = 20,
    layers: int = 1,
    std: float = 0.2,
    **settings: Any,
) -> NetworkPredictor:
    """A language model of a cell, with random weights, biases and vectors."""
    config = ArchitectureConfig(hidden_size=hidden_size, **settings)

    def recurrence(size: int) -> TorchRecurrence:
        return TorchRecurrence(CellLayers(cell, size, hidden_size, layers), tuple(cell.state))

    network = LanguageModel(config, vocabulary_size, recurrence).eval()
    generator = torch.Generator().manual_seed(4)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=std, generator=generator)
    return NetworkPredictor(network, vocabulary_size)


# --- random cells ---

ACTIVATIONS = {"plain": lambda x: x, "sigmoid": sigmoid, "tanh": tanh, "relu": relu}
ONE = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "exp": lambda a: exp(tanh(a)),
    "log": lambda a: log(1 + a * a),
    "leak": lambda a: where(a > 0, a, 0.1 * a),
    "negative": lambda a: -a,
}
TWO = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / (1 + b * b),
    "maximum": maximum,
    "minimum": minimum,
    "where": lambda a, b: where(a < b, a, b),
}
"""Continuous functions: where one jumps, rounding decides."""


def random_cells() -> some.SearchStrategy[Cell]:
    """Cells of 1 to 8 gates, 1 to 3 states and up to 2 vectors."""
    leaves = some.one_of(
        some.tuples(some.sampled_from(["gate", "state", "vector"]), some.integers(0, 7)),
        some.tuples(some.just("number"), some.floats(-2, 2, width=16)),
    )
    trees = some.recursive(
        leaves,
        lambda inner: some.one_of(
            some.tuples(some.sampled_from(sorted(ONE)), inner),
            some.tuples(some.sampled_from(sorted(TWO)), inner, inner),
        ),
        max_leaves=6,
    )
    feeds = some.lists(some.sampled_from([INPUT, BOTH, HIDDEN]), min_size=1, max_size=8)
    return some.builds(
        _cell,
        feeds.filter(lambda found: any(one is not HIDDEN for one in found)),
        some.lists(some.sampled_from(sorted(ACTIVATIONS)), min_size=8, max_size=8),
        some.lists(trees, min_size=1, max_size=3),
        some.integers(0, 2),
        some.booleans(),
    )


def _cell(feeds: Any, activations: Any, trees: Any, vectors: int, moved: bool) -> Cell:
    names = [f"g{i}" for i in range(len(feeds))]
    states = [f"s{i}" for i in range(len(trees))]

    class RandomCell(Cell):
        def step(self, gates: Any, state: Any, vector: Any = None) -> dict[str, Any]:
            activated = [ACTIVATIONS[activations[i]](gates[name]) for i, name in enumerate(names)]
            values = {
                "gate": activated,
                "state": [state[name] for name in states],
                "vector": [vector[f"v{i}"] for i in range(vectors)] or activated,
            }
            total = activated[0]
            for each in activated[1:]:
                total = total * 0.5 + each
            found = {states[0]: tanh(total + _value(trees[0], values))}
            for name, tree in zip(states[1:], trees[1:], strict=True):
                found[name] = tanh(0.5 * values["state"][-1] + _value(tree, values))
            if moved:
                found[states[-1]] = state[states[0]] if len(states) > 1 else found[states[0]]
            return found

    RandomCell.gates = dict(zip(names, feeds, strict=True))
    RandomCell.state = tuple(states)
    RandomCell.vectors = {f"v{i}": 0.1 for i in range(vectors)}
    return RandomCell()


def _value(tree: Any, values: Any) -> Any:
    kind, *rest = tree
    if kind == "number":
        return rest[0] * values["gate"][0] + rest[0]
    if kind in values:
        return values[kind][rest[0] % len(values[kind])]
    operands = [_value(each, values) for each in rest]
    return (ONE if len(operands) == 1 else TWO)[kind](*operands)
