"""The order of gates in the sampling step.

Gates are sorted by what feeds them, INPUT, BOTH, HIDDEN, so that each of both products feeds one span of them. Within
these, gates that are used only through a sigmoid come next to each other, and so do those used only through a tanh.
"""

from __future__ import annotations

from charpipe.cells import BOTH, HIDDEN, INPUT, Trace
from charpipe.cells.expression import Expression
from charpipe.cells.traversal import in_order

PLACES = {
    INPUT: ("", "tanh", "sigmoid"),
    BOTH: ("sigmoid", "tanh", ""),
    HIDDEN: ("sigmoid", "tanh", ""),
}
"""The order by feeds, and within each of them by activation: so that activations of INPUT and BOTH gates meet."""


def gate_order(trace: Trace) -> list[int]:
    """The gates in that order, as indices of `trace.gates`."""
    return [
        i
        for feeds, activations in PLACES.items()
        for activation in activations
        for i, name in enumerate(trace.gates)
        if trace.feeds[i] is feeds and gate_activation(trace, name) == activation
    ]


def gate_activation(trace: Trace, name: str) -> str:
    """The one operation through which a gate is used, "sigmoid" or "tanh"; "" if it is used otherwise as well, or if
    its tanh is a next state as it is."""
    gate = Expression("gate", name=name)
    users = [one for one in in_order(trace.results) if any(each is gate for each in one.operands)]
    if len(users) != 1 or users[0].operation not in ("sigmoid", "tanh") or _is_result(trace, gate):
        return ""
    return "" if users[0].operation == "tanh" and _is_result(trace, users[0]) else users[0].operation


def _is_result(trace: Trace, value: Expression) -> bool:
    return any(one is value for one in trace.results)


def input_rows(trace: Trace) -> list[int]:
    """The gates with an input in that order, as blocks of H rows of `weight_ih`."""
    return [trace.input_gates.index(i) for i in gate_order(trace) if trace.feeds[i] is not HIDDEN]


def hidden_rows(trace: Trace) -> list[int]:
    """The gates with a hidden part in that order, as blocks of H rows of `weight_hh`."""
    return [trace.hidden_gates.index(i) for i in gate_order(trace) if trace.feeds[i] is not INPUT]
