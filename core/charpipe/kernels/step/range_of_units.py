"""Whether a cell's units stay between -1 and 1, as the uint8 form of the int8 step requires."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.cells import Expression, Trace
from charpipe.cells.traversal import evaluate

Array = NDArray[np.float64]
SAMPLES = 1 << 15
"""Combinations of values that are tried."""
TOLERANCE = 1e-6
GATES = (-1e3, -10.0, -1.0, 0.0, 1.0, 10.0, 1e3)
"""Sums of a gate, up to where sigmoid and tanh are saturated."""
STATES = (-1e3, -1.0, 0.0, 1.0, 1e3)
"""Values of states other than the hidden units."""


def stays_within_one(trace: Trace, vectors: NDArray[np.float32]) -> bool:
    """Whether hidden units in [-1, 1] are followed by such, whatever the gates' sums and the other states are.

    It is tried out, not proven: for many combinations of extreme values and of random ones, with the smallest and the
    largest number of each of `vectors` [number of vectors, H]. What cells are made of is largest at such ends.
    """
    if not np.isfinite(vectors).all():
        return False
    random = np.random.default_rng(0)

    def draw(ends: Any) -> Array:
        """Three quarters of them among the ends, the others between the outer ones, many of these near 0."""
        values = random.choice(np.asarray(ends, np.float64), SAMPLES)
        between = random.uniform(min(ends), max(ends), SAMPLES) * random.choice([1.0, 0.1, 0.001], SAMPLES)
        return np.where(random.random(SAMPLES) < 0.75, values, np.clip(between, min(ends), max(ends)))

    leaves = {Expression("gate", name=name): draw(GATES) for name in trace.gates}
    leaves.update((Expression("state", name=name), draw(STATES)) for name in trace.state[1:])
    leaves[Expression("state", name=trace.state[0])] = draw((-1.0, 0.0, 1.0))
    for name, values in zip(trace.vectors, vectors, strict=True):
        leaves[Expression("vector", name=name)] = draw((float(values.min()), float(values.max())))
    with np.errstate(all="ignore"):
        (units,) = evaluate(trace.results[:1], leaves, OPERATIONS, lambda number: np.full(SAMPLES, number))
    return bool(np.all(np.abs(units) <= 1 + TOLERANCE))  # not so if one is NaN


OPERATIONS: Mapping[str, Callable[..., Array]] = {
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
"""Each operation of a trace on arrays."""
