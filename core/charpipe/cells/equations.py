"""A cell's equations as text, from its trace."""

from __future__ import annotations

from collections.abc import Mapping

from charpipe.cells.expression import Expression
from charpipe.cells.trace import Trace
from charpipe.cells.traversal import in_order

BINARY: Mapping[str, tuple[str, int]] = {
    "less": ("<", 0),
    "less_equal": ("<=", 0),
    "add": ("+", 1),
    "subtract": ("-", 1),
    "multiply": ("*", 2),
    "divide": ("/", 2),
}
"""Operators and how strongly they bind."""
ATOM = 3


def equations(trace: Trace) -> list[str]:
    """One line for each gate, each intermediate value that is used twice, and each next state."""
    lines = [f"{name} = {feeds.value}" for name, feeds in zip(trace.gates, trace.feeds, strict=True)]
    names: dict[Expression, str] = {}
    results = dict(zip(trace.results, trace.state, strict=True))
    for number, value in enumerate(_used_twice(trace), 1):
        text = _text(value, names)[0]
        names[value] = f"{results[value]}'" if value in results else f"v{number}"
        lines.append(f"{names[value]} = {text}")
    for name, result in zip(trace.state, trace.results, strict=True):
        if names.get(result) != f"{name}'":
            lines.append(f"{name}' = {_text(result, names)[0]}")
    return lines


def _used_twice(trace: Trace) -> list[Expression]:
    order = in_order(trace.results)
    uses = dict.fromkeys(order, 0)
    for one in order:
        for each in one.operands:
            uses[each] += 1
    for result in trace.results:
        uses[result] += 1
    return [
        one for one in order if uses[one] > 1 and one.operands and one.operation not in ("less", "less_equal")
    ]


def _text(value: Expression, names: Mapping[Expression, str]) -> tuple[str, int]:
    """The text of an expression, and how strongly its outermost operator binds."""
    if value.operation == "constant":
        return (f"{value.number:g}", ATOM)
    if not value.operands:
        return (value.name, ATOM)
    if value.operation not in BINARY:
        return (f"{value.operation}({', '.join(_part(one, names, 0) for one in value.operands)})", ATOM)
    sign, strength = BINARY[value.operation]
    left, right = value.operands
    if value.operation == "subtract" and left.operation == "constant" and left.number == 0:
        return (f"-{_part(right, names, 2)}", 1)
    # a - (b + c) and a / (b * c) need the parentheses of the right operand
    tighter = strength + (value.operation in ("subtract", "divide"))
    return (f"{_part(left, names, strength)} {sign} {_part(right, names, tighter)}", strength)


def _part(value: Expression, names: Mapping[Expression, str], strength: int) -> str:
    if value in names:
        return names[value]
    text, own = _text(value, names)
    return text if own >= strength else f"({text})"
