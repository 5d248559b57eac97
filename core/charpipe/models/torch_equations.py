"""Whether a cell computes what one of PyTorch's layers computes, found without PyTorch.

The equations are those of the documentation of `torch.nn.RNN`, `GRU` and `LSTM`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charpipe.cells import BOTH, HIDDEN, INPUT, Expression, Feeds, Trace
from charpipe.cells.traversal import evaluate
from charpipe.models.streams.numpy_source import CALLS

Values = NDArray[np.float64]
SAMPLES = 64


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _relu(x: Any) -> Any:
    return np.maximum(x, 0)


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **{name: getattr(np, call) for name, call in CALLS.items()},
    "sigmoid": _sigmoid,
    "relu": _relu,
    "where": np.where,
}
"""The operations of a trace, on arrays."""


class Equations(NamedTuple):
    """What feeds each gate, in the order of the weights; how many states; and the next states from both."""

    feeds: tuple[Feeds, ...]
    states: int
    step: Callable[[list[Values], list[Values]], list[Values]]


def _lstm(gates: list[Values], states: list[Values]) -> list[Values]:
    i, f, g, o = gates
    cell = _sigmoid(f) * states[1] + _sigmoid(i) * np.tanh(g)
    return [_sigmoid(o) * np.tanh(cell), cell]


def _gru(gates: list[Values], states: list[Values]) -> list[Values]:
    r, z, n, n_hidden = gates
    candidate, z = np.tanh(n + _sigmoid(r) * n_hidden), _sigmoid(z)
    return [(1 - z) * candidate + z * states[0]]


LAYERS: Mapping[str, Equations] = {
    "LSTM": Equations((BOTH,) * 4, 2, _lstm),
    "GRU": Equations((BOTH, BOTH, INPUT, HIDDEN), 1, _gru),
    "RNN_TANH": Equations((BOTH,), 1, lambda gates, states: [np.tanh(gates[0])]),
    "RNN_RELU": Equations((BOTH,), 1, lambda gates, states: [_relu(gates[0])]),
}
"""By the layer's mode."""


def equals_torch_equations(trace: Trace, layer: str) -> bool:
    """Whether a trace computes the equations of this layer, tried with random numbers."""
    wanted = LAYERS.get(layer)
    if (
        wanted is None
        or trace.feeds != wanted.feeds
        or len(trace.state) != wanted.states
        or len(trace.vectors)
    ):
        return False
    generator = np.random.default_rng(0)
    gates, states = (
        list(2 * generator.standard_normal((count, SAMPLES))) for count in (len(trace.gates), wanted.states)
    )
    leaves = {Expression("gate", name=name): value for name, value in zip(trace.gates, gates, strict=True)}
    leaves |= {Expression("state", name=name): value for name, value in zip(trace.state, states, strict=True)}
    with np.errstate(all="ignore"):
        found = evaluate(trace.results, leaves, OPERATIONS, np.float64)
        pairs = zip(found, wanted.step(gates, states), strict=True)
        return all(np.allclose(one, other, rtol=1e-9, atol=1e-9) for one, other in pairs)
