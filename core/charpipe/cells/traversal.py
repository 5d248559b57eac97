"""Expressions in the order of their operands: listed, evaluated, and with parts replaced."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TypeVar

from charpipe.cells.expression import Expression

Value = TypeVar("Value")


def in_order(results: Iterable[Expression], known: Container[Expression] = ()) -> list[Expression]:
    """All that the results depend on, and they themselves, each once and after its operands; without what only `known`
    expressions depend on."""
    found: dict[Expression, None] = {}
    pending = list(reversed(list(results)))
    while pending:
        value = pending[-1]
        missing = [] if value in known else [one for one in value.operands if one not in found]
        if value in found or not missing:
            found[pending.pop()] = None
        else:
            pending.extend(reversed(missing))
    return list(found)


def evaluate(
    results: Sequence[Expression],
    leaves: Mapping[Expression, Value],
    operations: Mapping[str, Callable[..., Value]],
    make_constant: Callable[[float], Value],
) -> list[Value]:
    """The values of some expressions, given those of leaves (or of any other expression that is known already)."""
    values: dict[Expression, Value] = {}

    def value_of(one: Expression) -> Value:
        if one in leaves:
            return leaves[one]
        if one.operation == "constant":
            return make_constant(one.number)
        return operations[one.operation](*(values[each] for each in one.operands))

    for one in in_order(results, leaves):
        values[one] = value_of(one)
    return [values[one] for one in results]


def replace(results: Iterable[Expression], known: Mapping[Expression, Expression]) -> list[Expression]:
    """The same expressions with some of their parts replaced."""
    wanted = list(results)
    made: dict[Expression, Expression] = {}
    for one in in_order(wanted):
        if one in known:
            made[one] = known[one]
        elif one.operands:
            made[one] = Expression(one.operation, *(made[each] for each in one.operands))
        else:
            made[one] = one
    return [made[one] for one in wanted]
