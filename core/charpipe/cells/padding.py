"""What a step makes of zeros: the kernels pad units, and multiply what padding becomes by weights that are zero."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from charpipe.cells.expression import Expression
from charpipe.cells.gradient import gradient_of
from charpipe.cells.trace import Trace
from charpipe.cells.traversal import evaluate

STEPS = 64
"""Steps from zero after which a state that still grows slowly is let pass."""

OPERATIONS: Mapping[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    "exp": math.exp,
    "log": math.log,
    "maximum": max,
    "minimum": min,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "where": lambda condition, yes, no: yes if condition else no,
}


@cache
def zeros_stay_finite(trace: Trace) -> bool:
    """Whether a unit whose gates and vectors are zero has finite values and gradients: infinity times a weight of zero
    would be NaN."""
    gradient = gradient_of(trace)
    zeros = dict.fromkeys((*_leaves("gate", trace.gates), *_leaves("vector", trace.vectors)), 0.0)
    state = [0.0] * len(trace.state)
    try:
        for _ in range(STEPS):
            known = {**zeros, **dict(zip(_leaves("state", trace.state), state, strict=True))}
            after = evaluate(trace.results, known, OPERATIONS, float)
            saved = evaluate(gradient.saved, known, OPERATIONS, float)
            known.update(zip(_leaves("after", trace.state), after, strict=True))
            known.update(zip(_leaves("saved", map(str, range(len(saved)))), saved, strict=True))
            known.update(dict.fromkeys(_leaves("gradient", trace.state), 0.0))
            gradients = evaluate([*gradient.gates, *gradient.state], known, OPERATIONS, float)
            if not all(map(math.isfinite, [*after, *gradients])):
                return False
            state = after
    except (ArithmeticError, ValueError):  # a division by zero, a logarithm of zero, an overflow
        return False
    return True


def _leaves(kind: str, names: Iterable[str]) -> list[Expression]:
    return [Expression(kind, name=name) for name in names]
