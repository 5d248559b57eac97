"""From values to positions in a chart, and round values for its ticks."""

from __future__ import annotations

import math
from collections.abc import Callable

CLOCK = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Steps of a time axis, in seconds; longer ones are round numbers of hours."""


class Scale:
    """Maps values to positions on the page."""

    def __init__(
        self, low: float, high: float, start: float, end: float, log: bool = False, room: float = 0.0
    ) -> None:
        self._of: Callable[[float], float] = math.log10 if log else float
        first, last = self._of(low), self._of(high)
        spare = (last - first) * room
        if last - first <= 1e-9 * max(abs(first), abs(last), 1.0):  # visually a single value
            spare = 0.5 * max(abs(first), 1.0) * (1e-3 if abs(first) > 1e3 else 1.0)
        self.first, self.last = first - spare, last + spare
        self.start, self.end, self.log = start, end, log

    def __call__(self, value: float) -> float:
        share = (self._of(value) - self.first) / (self.last - self.first)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, time: bool = False) -> list[float]:
        """Round values between the ends; of a time in seconds: whole minutes, quarters of an hour, hours."""
        first, last = (10**self.first, 10**self.last) if self.log else (self.first, self.last)
        step = (_round_time if time else _round_step)((last - first) / 5)
        start = math.ceil(first / step)
        return [n * step for n in range(start, math.floor(last / step) + 1)]


def written(value: float) -> str:
    """A tick's value in few characters."""
    return f"{value:.3g}" if value == 0 or abs(value) >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _round_time(rough: float) -> float:
    return next((step for step in CLOCK if step >= rough * 0.999), 0.0) or 3600 * _round_step(rough / 3600)
