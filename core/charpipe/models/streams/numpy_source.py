"""Python source made of numpy calls that write into preallocated arrays, and the cell of a step as such source.

A call of numpy takes longer than the arithmetic on a few hundred units, so that what counts is the number of calls; and
a line of source costs less than any loop over calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.cells import Expression, Trace
from charpipe.cells.traversal import in_order

Array = NDArray[np.float32]
CALLS = {
    "add": "add",
    "subtract": "subtract",
    "multiply": "multiply",
    "divide": "divide",
    "tanh": "tanh",
    "exp": "exp",
    "log": "log",
    "maximum": "maximum",
    "minimum": "minimum",
    "less": "less",
    "less_equal": "less_equal",
}
"""Operations of a trace that are one call of numpy."""
MAY_WARN = ("exp", "log", "divide")
"""Operations of which numpy says more than that the result is infinite or not a number, which is seen later anyway."""


class Source:
    """The lines of a function, and the arrays that they name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {name: getattr(np, name) for name in (*CALLS.values(), "dot", "copyto")}

    def name(self, value: Any) -> str:
        """A name for an array or a number."""
        if isinstance(value, float):
            value = np.float32(value)
        name = f"v{len(self.names)}"
        self.names[name] = value
        return name

    def buffer(self, *shape: int) -> str:
        """The name of a new array."""
        return self.name(np.empty(shape, np.float32))

    def item(self, values: list[Array], index: str) -> str:
        """The name of the array at an index of a list."""
        name = f"item{len(self.lines)}"
        self.lines.append(f"{name} = {self.name(values)}[{index}]")
        return name

    def call(self, function: str, *arguments: str) -> None:
        """One call; its last argument is where the result goes, but of `copyto` the first."""
        if function != "copyto":
            arguments = (*arguments[:-1], f"out={arguments[-1]}")
        self.lines.append(f"{function}({', '.join(arguments)})")

    def function(self, parameter: str, result: str, *, quiet: bool) -> Callable[[int], Array]:
        """The lines as a function of one parameter, which returns `result`; `quiet` without numpy's warnings."""
        body = "".join(f"    {line}\n" for line in (*self.lines, f"return {result}"))
        source = f"def step({parameter}):\n{body}"
        exec(compile(source, "<numpy step>", "exec"), self.names)  # noqa: S102  of our own lines only
        step: Callable[[int], Array] = self.names["step"]
        return np.errstate(all="ignore")(step) if quiet else step


@dataclass
class CellSource:
    """Emits one layer's cell into `source`: from the values of gates, states and vectors to the next states.

    `values` has the names of arrays by expression: of leaves, and of what is known beyond them. `writable` are those
    that may be overwritten; states are, once they are not read any more.
    """

    source: Source
    trace: Trace
    size: int
    values: dict[Expression, str]
    states: Sequence[str]
    writable: set[str]
    _free: list[str] = field(default_factory=list)

    def emit(self) -> None:
        """The lines of a step."""
        leaves = [Expression("state", name=name) for name in self.trace.state]
        for leaf in leaves:
            if any(result is leaf and leaves[n] is not leaf for n, result in enumerate(self.trace.results)):
                kept = self.source.buffer(self.size)  # another state gets its value
                self.source.call("copyto", kept, self.values[leaf])
                self.values[leaf] = kept
        order = in_order(self.trace.results)
        steps = [one for one in order if one.operands and one not in self.values]
        last = {each: place for place, one in enumerate(steps) for each in one.operands}
        last.update(dict.fromkeys(self.trace.results, len(steps)))
        for place, one in enumerate(steps):
            self._emit_one(one, place, last)
        for state, leaf, result in zip(self.states, leaves, self.trace.results, strict=True):
            if result is not leaf and self._operand(result) != state:
                self.source.call("copyto", state, self._operand(result))

    def _emit_one(self, one: Expression, place: int, last: dict[Expression, int]) -> None:
        operands = [self._operand(each) for each in one.operands]
        # arrays that nothing reads any more; two expressions may share one
        alive = {self.values[each] for each, end in last.items() if end > place and each in self.values}
        dying = [name for name in dict.fromkeys(operands) if name in self.writable and name not in alive]
        target = self._state_for(one, alive) or self._buffer(one, operands, dying)
        self._calls(one, operands, target)
        self.values[one] = target
        self._free += [name for name in dying if name != target]

    def _state_for(self, one: Expression, alive: set[str]) -> str | None:
        """The state's array, if this is its next value and nothing reads the present one any more."""
        for state, result in zip(self.states, self.trace.results, strict=True):
            if result is one and state not in alive and one.operation != "where":
                return state
        return None

    def _buffer(self, one: Expression, operands: list[str], dying: list[str]) -> str:
        if one.operation in ("less", "less_equal"):
            return self.source.name(np.empty(self.size, np.bool_))
        if one.operation == "where":  # its first copy overwrites all but the value of `no`
            dying = [name for name in dying if name == operands[2] and name not in operands[:2]]
        if dying:
            return dying[0]
        return self._free.pop() if self._free else self._new()

    def _new(self) -> str:
        name = self.source.buffer(self.size)
        self.writable.add(name)
        return name

    def _calls(self, one: Expression, operands: list[str], target: str) -> None:
        call = self.source.call
        if one.operation == "sigmoid":
            call("multiply", operands[0], self.source.name(0.5), target)
            call("tanh", target, target)
            tanh_to_sigmoid(self.source, target)
        elif one.operation == "relu":
            call("maximum", operands[0], self.source.name(0.0), target)
        elif one.operation == "where":
            condition, yes, no = operands
            if target != no:
                call("copyto", target, no)
            call("copyto", target, yes, f"where={condition}")
        else:
            call(CALLS[one.operation], *operands, target)

    def _operand(self, one: Expression) -> str:
        if one not in self.values:  # a constant
            self.values[one] = self.source.name(one.number)
        return self.values[one]


def tanh_to_sigmoid(source: Source, target: str) -> None:
    """From tanh(x / 2) to sigmoid(x) = (tanh(x / 2) + 1) / 2, in place."""
    source.call("add", target, source.name(1.0), target)
    source.call("multiply", target, source.name(0.5), target)
