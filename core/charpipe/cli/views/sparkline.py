"""A curve as one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
POINTS = 512
"""Values of a curve that are kept at most."""


@dataclass
class Curve:
    """Values at equal distances. Where there are many, every second one is kept, then every fourth, and so on."""

    values: list[float] = field(default_factory=list)
    last: float = math.nan
    seen: int = 0
    _stride: int = 1

    def add(self, value: float) -> None:
        """The next value."""
        self.last = value
        if self.seen % self._stride == 0:
            self.values.append(value)
        self.seen += 1
        if len(self.values) > POINTS:
            self.values, self._stride = self.values[::2], 2 * self._stride

    def sparkline(self, width: int) -> str:
        """The curve in at most `width` columns."""
        return sparkline(self.values, width)


def sparkline(values: Sequence[float], width: int) -> str:
    """The curve of finite values in at most `width` columns, the highest value at the top; a column is the mean of its
    share of the values."""
    known = [value for value in values if math.isfinite(value)]
    count = min(width, len(known))
    if count < 1:
        return ""
    edges = [round(place * len(known) / count) for place in range(count + 1)]
    means = [sum(known[start:end]) / (end - start) for start, end in pairwise(edges)]
    low, high = min(means), max(means)
    span = high - low or 1.0
    return "".join(BLOCKS[round((value - low) / span * (len(BLOCKS) - 1))] for value in means)
