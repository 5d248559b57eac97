"""The search space of a sweep: `train.learning_rate=1e-3..1e-2:log`, `architectures.lstm.dropout=0,0.2,0.4`."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from charpipe.errors import UsageError, near_match
from charpipe.sweeps.settings import Setting

MOST_POINTS = 100_000
"""Points of a grid; more would take years."""
Check = Callable[[str, Any], Any]
"""Returns the value that a setting gets from a value, and raises UsageError if it does not accept it."""


@dataclass(frozen=True)
class Dimension:
    """One setting to vary: over `choices`, or from `low` to `high`, on a logarithmic scale (`log`), in whole numbers
    (`whole`), in steps of `step`."""

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    step: float | None = None

    def __str__(self) -> str:
        """The dimension as it is typed."""
        if self.choices:
            return f"{self.key}={','.join(_shown(choice) for choice in self.choices)}"
        options = (
            (":log" if self.log else "")
            + (":int" if self.whole else "")
            + (f":{self.step:g}" if self.step else "")
        )
        return f"{self.key}={_shown(self.low)}..{_shown(self.high)}{options}"

    def points(self) -> list[Any]:
        """All values, for a grid. Raises UsageError if there are infinitely many."""
        if self.choices:
            return list(self.choices)
        step = self.step or (1 if self.whole and not self.log else None)
        if step is None:
            raise UsageError(
                f"--sampler grid tries every value, and {self} has too many; give a list or a step, as in "
                f"{self.key}={_shown(self.low)}..{_shown(self.high)}:{(self.high - self.low) / 4:.3g}"
            )
        count = 1 + math.floor((self.high - self.low) / step + 1e-9)
        if count > MOST_POINTS:
            raise UsageError(f"{self} has {count:,} values; a grid has at most {MOST_POINTS:,}")
        return [self.low + number * step for number in range(count)]


def parse_space(texts: Sequence[str], known: dict[str, Setting], check: Check) -> tuple[Dimension, ...]:
    """The dimensions of a space. `known`: the settings that may be varied. Raises UsageError."""
    if not texts:
        raise UsageError(
            "a sweep needs at least one setting to vary, as in --space train.learning_rate=1e-3..1e-2:log"
        )
    space: dict[str, Dimension] = {}
    for text in texts:
        key, equals, values = (part.strip() for part in text.partition("="))
        if not (key and equals and values):
            raise UsageError(
                f"--space {text!r} is not KEY=RANGE, as in --space train.learning_rate=1e-3..1e-2:log or "
                "--space train.clip=0.5,1,2"
            )
        if key in space:
            raise UsageError(f"--space has {key} twice; give all its values in one range or list")
        space[key] = _dimension(_known(key, known), values, check)
    return tuple(space.values())


def _known(key: str, known: dict[str, Setting]) -> Setting:
    setting = known.get(key)
    if setting is None:
        near = near_match(key, known)
        tables = sorted({name.rpartition(".")[0] for name in known})
        raise UsageError(
            f"--space: {key} is no setting that a sweep can vary"
            + (near if near.startswith("; did") else f"; it varies those of {' and '.join(tables)}")
        )
    if setting.obstacle:
        raise UsageError(f"--space: {key} cannot be varied: {setting.obstacle}")
    return setting


def _dimension(setting: Setting, values: str, check: Check) -> Dimension:
    if ".." in values:
        return _range(setting, values, check)
    choices = _list(setting, values, check)
    if len(choices) == 1:
        raise UsageError(
            f"--space {setting.key}={values} has a single value; to fix a setting, type --set {setting.key}={values}"
        )
    return Dimension(setting.key, choices)


def _list(setting: Setting, values: str, check: Check) -> tuple[Any, ...]:
    choices: list[Any] = []
    for text in values.split(","):
        value = _value(text.strip())
        if isinstance(value, bool) and setting.kind != "bool":
            raise UsageError(f"--space: {setting.key} takes {_wanted(setting)}, and {text.strip()} is none")
        accepted = check(setting.key, value)
        if accepted in choices:
            raise UsageError(f"--space: {setting.key} has the value {text.strip()} twice")
        choices.append(accepted)
    return tuple(choices)


def _range(setting: Setting, values: str, check: Check) -> Dimension:
    start, _, rest = values.partition("..")
    end, *options = rest.split(":")
    if setting.kind not in ("int", "float"):
        raise UsageError(
            f"--space: {setting.key} takes {_wanted(setting)}, which has no range; give a list, as in A,B"
        )
    whole = setting.kind == "int" or "int" in options
    low, high = (_number(setting, text, whole) for text in (start, end))
    log, step = "log" in options, _step(setting, options, whole)
    given = f"--space {setting.key}={values}"
    if not low < high:
        raise UsageError(f"{given} is empty: its start must be below its end")
    if log and low <= 0:
        raise UsageError(f"{given}: a logarithmic range must start above 0")
    if log and step is not None:
        raise UsageError(f"{given}: a logarithmic range has no steps; leave out :log or the step")
    if step is not None:
        if step > high - low:
            raise UsageError(f"{given}: the step is larger than the range")
        high = low + math.floor((high - low) / step + 1e-9) * step
    for value in (low, high):
        check(setting.key, value)
    return Dimension(setting.key, (), low, high, log, whole, step)


def _step(setting: Setting, options: Sequence[str], whole: bool) -> float | None:
    words = [option for option in options if option not in ("log", "int")]
    if len(words) > 1 or len(options) - len(words) != len(set(options) - set(words)):
        raise UsageError(f"--space: {setting.key} has too many of log, int and a step after its range")
    if not words:
        return None
    try:
        step = _number(setting, words[0], whole)
    except UsageError:
        raise UsageError(
            f"--space: {words[0]!r} after the range of {setting.key} is neither log, int nor a step"
        ) from None
    if step <= 0:
        raise UsageError(f"--space: the step of {setting.key} must be above 0")
    return step


def _number(setting: Setting, text: str, whole: bool) -> float:
    value = _value(text.strip())
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"--space: {text.strip()!r} in the range of {setting.key} is not a number")
    if whole and value != int(value):
        raise UsageError(f"--space: {setting.key} takes whole numbers, and {text.strip()} is none")
    return int(value) if whole else float(value)


def _value(text: str) -> Any:
    """A TOML value, `null`, or a plain string, as `--set` reads it."""
    if text == "null":
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _wanted(setting: Setting) -> str:
    words = {"int": "whole numbers", "float": "numbers", "bool": "true or false", "text": "text"}
    return words.get(setting.kind) or " or ".join(setting.choices)


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
