"""Choose and order runs in a list: filters such as `val/loss<1.5`, and the value to sort by."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charpipe.errors import UsageError, near_match

Row = Mapping[str, Any]
_FILTER = re.compile(r"\s*([^=!<>~\s]+)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*")
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class RunFilter:
    """A condition on one value of a run: `=`, `!=`, `<`, `<=`, `>`, `>=`, or `~` for a part of a text."""

    key: str
    relation: str
    value: str

    @classmethod
    def parse(cls, text: str) -> RunFilter:
        """Read `KEY=VALUE` and the like. Raises UsageError."""
        found = _FILTER.fullmatch(text)
        if found is None:
            raise UsageError(
                f"{text!r} is no filter; write KEY=VALUE, or !=, <, <=, >, >= or ~ (has this part) in place of =, in "
                "quotes"
            )
        return cls(*found.groups())

    def fits(self, row: Row) -> bool:
        """Whether a run fits. One without the value fits `!=` only."""
        actual = row.get(self.key)
        if isinstance(actual, list | tuple):  # tags
            if self.relation == "!=":
                return not any(self._compare(one, "=") for one in actual)
            return any(self._compare(one, self.relation) for one in actual)
        return self._compare(actual, self.relation)

    def _compare(self, actual: Any, relation: str) -> bool:
        if relation == "!=":
            return not self._compare(actual, "=")
        if actual is None or not self.value:
            return actual is None and not self.value and relation == "="
        if relation == "~":
            return self.value.casefold() in _text(actual)
        number = _number(self.value)
        if isinstance(actual, int | float) and not isinstance(actual, bool):
            if number is None:
                raise UsageError(f"{self.key} is a number, and {self.value!r} is none")
            return actual == number if relation == "=" else _ORDERS[relation](actual, number)
        wanted = self.value.casefold()
        return _text(actual) == wanted if relation == "=" else _ORDERS[relation](_text(actual), wanted)


def select(rows: Iterable[Row], filters: Sequence[RunFilter]) -> list[Row]:
    """The rows that fit every filter."""
    return [row for row in rows if all(one.fits(row) for one in filters)]


def sort_rows(rows: Iterable[Row], key: str, reverse: bool = False) -> list[Row]:
    """The rows by a value, numbers before texts; those without it come last in either order."""
    having = [row for row in rows if row.get(key) is not None]
    lacking = [row for row in rows if row.get(key) is None]
    return [*sorted(having, key=lambda row: _order(row[key]), reverse=reverse), *lacking]


def check_keys(keys: Iterable[str], rows: Sequence[Row], known: Iterable[str]) -> None:
    """Raise UsageError for a key that no run has and that is not among the `known` ones."""
    there = {*known, *(key for row in rows for key in row)}
    for key in keys:
        if key not in there:
            raise UsageError(f"no run has a value {key!r}{near_match(key, there)}")


def _order(value: Any) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).casefold()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
