"""A cell's step as JavaScript, from its trace: for each unit, the next state from the sums of its gates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from charpipe.cells import Expression, Trace
from charpipe.cells.traversal import in_order

OPERATIONS: Mapping[str, Callable[..., str]] = {
    "add": "({} + {})".format,
    "subtract": "({} - {})".format,
    "multiply": "({} * {})".format,
    "divide": "({} / {})".format,
    "sigmoid": "1 / (1 + Math.exp(-{}))".format,
    "tanh": "Math.tanh({})".format,
    "relu": "Math.max({}, 0)".format,
    "exp": "Math.exp({})".format,
    "log": "Math.log({})".format,
    "maximum": "Math.max({}, {})".format,
    "minimum": "Math.min({}, {})".format,
    "less": "({} < {})".format,
    "less_equal": "({} <= {})".format,
    "where": "({} ? {} : {})".format,
}


def cell_function(trace: Trace) -> str:
    """`(size, gates, state, vectors) => {}`, which replaces the state: `gates` [gates * size] in the trace's order, the
    others are lists of arrays [size]."""
    names: dict[Expression, str] = {}
    lines = []
    for one in in_order(trace.results):
        if one.operands:
            value = OPERATIONS[one.operation](*(names[each] for each in one.operands))
        else:
            value = _leaf(one, trace)
        names[one] = f"v{len(names)}"
        lines.append(f"    const {names[one]} = {value};")
    lines += [f"    state[{place}][u] = {names[one]};" for place, one in enumerate(trace.results)]
    body = "\n".join(lines)
    return f"(size, gates, state, vectors) => {{\n  for (let u = 0; u < size; u++) {{\n{body}\n  }}\n}}"


def _leaf(one: Expression, trace: Trace) -> str:
    if one.operation == "constant":
        return _number(one.number)
    if one.operation == "gate":
        return f"gates[{trace.gates.index(one.name)} * size + u]"
    names = trace.state if one.operation == "state" else trace.vectors
    return f"{'state' if one.operation == 'state' else 'vectors'}[{names.index(one.name)}][u]"


def _number(value: float) -> str:
    if math.isfinite(value):
        return f"({value!r})"
    return "NaN" if math.isnan(value) else f"({'-' if value < 0 else ''}Infinity)"
