"""Records what a cell's step computes."""

from __future__ import annotations

import hashlib
import inspect
import keyword
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from charpipe.cells.cell import Cell, Feeds, ordered_gates
from charpipe.cells.errors import CellError, UncompilableError, author_line
from charpipe.cells.expression import LEAVES, Expression
from charpipe.cells.traversal import in_order
from charpipe.errors import near_match

MAX_GATES = 16


class Named:
    """Values by attribute or by key: what `gates`, `state` and `vectors` are in a step."""

    def __init__(self, what: str, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)
        self._what, self._values = what, values

    def __getitem__(self, name: str) -> Any:
        return self._values[name] if name in self._values else getattr(self, name)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise CellError(
            f"{author_line()}: `step` asks for {self._what}.{name}, which there is not{near_match(name, self._values)}"
        )


@dataclass(frozen=True, eq=False)
class Trace:
    """What one step computes: `results[n]` is the next state `state[n]`, as an expression of gates, state and vectors.

    `gates` are in the order of the weights: first those that both products feed, then INPUT, then HIDDEN.
    """

    name: str
    gates: tuple[str, ...]
    feeds: tuple[Feeds, ...]
    state: tuple[str, ...]
    vectors: tuple[str, ...]
    results: tuple[Expression, ...]

    def gate(self, name: str) -> Expression:
        """The expression of a gate's sum."""
        return Expression("gate", name=name)

    @property
    def input_gates(self) -> tuple[int, ...]:
        """The gates to which the product with the input is added, as indices of `gates`."""
        return tuple(i for i, feeds in enumerate(self.feeds) if feeds is not Feeds.HIDDEN)

    @property
    def hidden_gates(self) -> tuple[int, ...]:
        """The gates to which the product with the previous output is added."""
        return tuple(i for i, feeds in enumerate(self.feeds) if feeds is not Feeds.INPUT)

    @property
    def hidden_only(self) -> tuple[int, ...]:
        """The gates without an input."""
        return tuple(i for i, feeds in enumerate(self.feeds) if feeds is Feeds.HIDDEN)

    @cached_property
    def carried(self) -> tuple[str, ...]:
        """The states that a step gets from the one before: all but the first, where only the product with U reads
        it."""
        used = {one.name for one in in_order(self.results) if one.operation == "state"}
        return tuple(name for place, name in enumerate(self.state) if place > 0 or name in used)

    @cached_property
    def digest(self) -> str:
        """Identifies the equations: equal traces have equal digests."""
        text = repr(
            (self.gates, [one.name for one in self.feeds], self.state, self.vectors, listing(self.results))
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trace) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Trace({self.name} {self.digest[:16]})"


def listing(results: Iterable[Expression]) -> list[str]:
    """Expressions as numbered operations, one a line: a text that identifies them."""
    wanted = tuple(results)
    every = in_order(wanted)
    numbers = {one: number for number, one in enumerate(every)}
    lines = [
        f"{one.operation} {one.name or one.number} {[numbers[each] for each in one.operands]}"
        for one in every
    ]
    return [*lines, str([numbers[one] for one in wanted])]


def trace_of(cell: Cell) -> Trace:
    """The trace of a cell. It is recorded twice, to find out whether the step always computes the same.

    Raises CellError where the cell breaks a rule, UncompilableError where it uses an operation that the kernels do not
    know.
    """
    check(cell)
    first, second = _record(cell), _record(cell)
    if any(one is not other for one, other in zip(first, second, strict=True)):
        _broken(
            cell,
            "`step` computes something else each time it is called; it may not use random numbers or keep values",
        )
    gates = ordered_gates(cell)
    state, vectors = tuple(cell.state), tuple(cell.vectors)
    found = Trace(type(cell).__name__, tuple(gates), tuple(gates.values()), state, vectors, first)
    unused = set(found.gates) - {one.name for one in in_order(first) if one.operation == "gate"}
    if unused:
        _broken(cell, f"`step` does not use the gate {sorted(unused)[0]!r}")
    return found


def check(cell: Cell) -> None:
    """Raise CellError unless gates, state and vectors are well formed and there is a step."""
    gates, state, vectors = (getattr(cell, name, None) for name in ("gates", "state", "vectors"))
    if not callable(getattr(type(cell), "step", None)):
        _broken(cell, "it has no method `step(self, gates, state)`")
    if not isinstance(gates, Mapping) or not gates:
        _broken(cell, "`gates` must be a dict such as {'update': BOTH}")
    for name, feeds in gates.items():
        if not isinstance(feeds, Feeds):
            _broken(cell, f"gate {name!r} is {feeds!r}; a gate is INPUT, HIDDEN or BOTH")
    if len(gates) > MAX_GATES:
        _broken(cell, f"it has {len(gates)} gates; {MAX_GATES} are possible")
    if all(feeds is Feeds.HIDDEN for feeds in gates.values()):
        _broken(cell, "no gate reads the input; make one INPUT or BOTH")
    if isinstance(state, str) or not isinstance(state, (tuple, list)) or not state:
        _broken(cell, "`state` must be a tuple of names such as ('hidden',)")
    if not isinstance(vectors, Mapping):
        _broken(cell, "`vectors` must be a dict of first values such as {'peephole': 0.0}")
    for name, value in vectors.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            _broken(cell, f"the first value of the vector {name!r} is {value!r}, not a number")
    every = [*gates, *state, *vectors]
    for name in every:
        if (
            not isinstance(name, str)
            or not name.isidentifier()
            or keyword.iskeyword(name)
            or name.startswith("_")
        ):
            _broken(cell, f"{name!r} is no name for a gate, state or vector; use a word such as 'update'")
    for name in (*state, *vectors):
        if [*state, *vectors].count(name) > 1:
            _broken(cell, f"the name {name!r} is there twice")
    reserved = [name for name in vectors if name.startswith(("weight_", "bias_"))]
    if reserved:
        _broken(cell, f"the vector {reserved[0]!r} has a name that is kept for weights; choose another")


def _record(cell: Cell) -> tuple[Expression, ...]:
    arguments = [
        Named("gates", {name: Expression("gate", name=name) for name in cell.gates}),
        Named("state", {name: Expression("state", name=name) for name in cell.state}),
    ]
    if cell.vectors:
        arguments.append(Named("vectors", {name: Expression("vector", name=name) for name in cell.vectors}))
    try:
        after = cell.step(*arguments)
    except CellError as error:
        raise CellError(f"cell {type(cell).__name__}: {error}") from error
    except UncompilableError as error:
        raise UncompilableError(f"cell {type(cell).__name__}: {error}") from error
    except Exception as error:
        _broken(cell, f"`step` raised {type(error).__name__}: {error}", error)
    return _checked(cell, after)


def _checked(cell: Cell, after: Any) -> tuple[Expression, ...]:
    if not isinstance(after, Mapping):
        _broken(
            cell, f"`step` returns a {type(after).__name__}; it must return the next state by name, a dict"
        )
    missing, extra = set(cell.state) - set(after), set(after) - set(cell.state)
    if missing:
        _broken(cell, f"`step` does not return the state {sorted(missing)[0]!r}")
    if extra:
        _broken(cell, f"`step` returns {sorted(extra, key=str)[0]!r}, which is not in `state`")
    for name, value in after.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            _broken(cell, f"`step` returns the constant {value} for the state {name!r}")
        if not isinstance(value, Expression):
            _broken(
                cell,
                f"`step` returns a {type(value).__name__} for the state {name!r}; it must be made of gates and state",
            )
        if value.operation in ("less", "less_equal"):
            _broken(cell, f"`step` returns a comparison for the state {name!r}; use where(condition, a, b)")
    assert all(
        one.operation in LEAVES or one.operands or one.operation == "constant"
        for one in in_order(after.values())
    )
    return tuple(after[name] for name in cell.state)


def _broken(cell: Cell, rule: str, cause: Exception | None = None) -> NoReturn:
    raise CellError(f"cell {type(cell).__name__} ({_line_of(cell)}): {rule}") from cause


def _line_of(cell: Cell) -> str:
    """Where the cell's step is defined, or its class."""
    source = getattr(type(cell), "step", type(cell))
    try:
        path, line = inspect.getsourcefile(source), inspect.getsourcelines(source)[1]
        return f"{Path(path or '?').name}, line {line}"
    except (OSError, TypeError):
        return "without source"
