"""Derives a cell's backward step from its trace, by reverse accumulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from charpipe.cells.expression import EXPENSIVE, Expression, constant
from charpipe.cells.trace import Trace
from charpipe.cells.traversal import in_order, replace

Pull = Callable[[Expression, Expression], tuple[Expression | None, ...]]
"""The gradients of an operation's operands, from the operation and its own gradient."""


def _zero() -> Expression:
    return constant(0.0)


def _sigmoid(y: Expression, g: Expression) -> tuple[Expression, ...]:
    return (g * (y * (1 - y)),)


def _where(y: Expression, g: Expression) -> tuple[Expression | None, ...]:
    condition = y.operands[0]
    return None, _choose(condition, g, _zero()), _choose(condition, _zero(), g)


def _choose(condition: Expression, yes: Expression, no: Expression) -> Expression:
    return Expression("where", condition, yes, no)


def _larger(y: Expression, g: Expression) -> tuple[Expression, ...]:
    a, b = y.operands
    return _choose(a < b, _zero(), g), _choose(a < b, g, _zero())


def _smaller(y: Expression, g: Expression) -> tuple[Expression, ...]:
    a, b = y.operands
    return _choose(b < a, _zero(), g), _choose(b < a, g, _zero())


PULLS: Mapping[str, Pull] = {
    "add": lambda y, g: (g, g),
    "subtract": lambda y, g: (g, -g),
    "multiply": lambda y, g: (g * y.operands[1], g * y.operands[0]),
    "divide": lambda y, g: (g / y.operands[1], -(g * y / y.operands[1])),
    "sigmoid": _sigmoid,
    "tanh": lambda y, g: (g * (1 - y * y),),
    "relu": lambda y, g: (_choose(_zero() < y.operands[0], g, _zero()),),
    "exp": lambda y, g: (g * y,),
    "log": lambda y, g: (g / y.operands[0],),
    "maximum": _larger,
    "minimum": _smaller,
    "where": _where,
}


@dataclass(frozen=True, eq=False)
class Gradient:
    """A backward step.

    `gates`, `state` (of the carried states) and `vectors` are the gradients, in the trace's order. Their leaves are
    `gradient.NAME`, the gradient of the next state NAME; `state.NAME` and `after.NAME`, a carried state before and
    after the step; `vector.NAME`; and `saved.0`, `saved.1`, ..., the values of the trace's expressions `saved`, which
    the forward step keeps.
    """

    saved: tuple[Expression, ...]
    gates: tuple[Expression, ...]
    state: tuple[Expression, ...]
    vectors: tuple[Expression, ...]


def gradient_of(trace: Trace) -> Gradient:
    """The backward step of a trace.

    Saved is what the backward step needs of the forward step and cannot compute cheaply: results of expensive
    operations, and gates. What follows from a carried state before or after the step is computed again, since these are
    in memory.
    """
    found = _accumulate(trace)

    def of(kind: str, names: tuple[str, ...]) -> list[Expression]:
        return [found.get(Expression(kind, name=name), constant(0.0)) for name in names]

    parts = of("gate", trace.gates), of("state", trace.carried), of("vector", trace.vectors)
    in_memory = {
        result: Expression("after", name=name)
        for name, result in zip(trace.state, trace.results, strict=True)
        if name in trace.carried and result.operands
    }
    results = replace([one for part in parts for one in part], in_memory)
    kept = _to_save(results)
    leaves = {one: Expression("saved", name=str(number)) for number, one in enumerate(kept)}
    known = iter(replace(results, leaves))
    gates, state, vectors = (tuple(next(known) for _ in part) for part in parts)
    saved = replace(kept, {leaf: result for result, leaf in in_memory.items()})
    return Gradient(tuple(saved), gates, state, vectors)


def _accumulate(trace: Trace) -> dict[Expression, Expression]:
    """The gradient of each part of a trace that has one."""
    found: dict[Expression, Expression] = {}

    def accumulate(value: Expression, more: Expression) -> None:
        found[value] = found[value] + more if value in found else more

    for name, result in zip(trace.state, trace.results, strict=True):
        accumulate(result, Expression("gradient", name=name))
    for value in reversed(in_order(trace.results)):
        if value in found and value.operands:
            gradients = PULLS[value.operation](value, found[value])
            for operand, more in zip(value.operands, gradients, strict=True):
                if more is not None and operand.operation != "constant":
                    accumulate(operand, more)
    return found


def _to_save(results: list[Expression]) -> list[Expression]:
    """The outermost gates and expensive operations on gates that these results are computed from."""
    order = in_order(results)
    has_gate, has_gradient = _depends(order, "gate"), _depends(order, "gradient")
    found: set[Expression] = set()
    seen: set[Expression] = set()
    pending = list(results)
    while pending:
        one = pending.pop()
        if one in seen:
            continue
        seen.add(one)
        costly = one.operation == "gate" or one.operation in EXPENSIVE
        if costly and has_gate[one] and not has_gradient[one]:
            found.add(one)
        else:
            pending.extend(one.operands)
    return [one for one in order if one in found]


def _depends(order: list[Expression], kind: str) -> dict[Expression, bool]:
    """Which expressions depend on a leaf of this kind."""
    found: dict[Expression, bool] = {}
    for one in order:
        found[one] = one.operation == kind or any(found[each] for each in one.operands)
    return found
