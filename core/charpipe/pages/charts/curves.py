"""What a chart shows: curves, reference levels, and axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST_POINTS = 600
LARGEST, LEAST = 1e12, 1e-12
"""Values above LARGEST are treated as infinite, and on a logarithmic axis, values below LEAST as zero."""
COLOURS, DASHES = 8, 5
"""How many colors and dash patterns `templates/charts.css` has."""


@dataclass(frozen=True)
class Line:
    """A curve: its name, its number from 1 on, and points `(x, y)` in order of x. `band` is an area around it:
    `(x, lowest y, highest y)`.

    The number chooses a color, from the ninth on with another dash pattern.
    """

    name: str
    number: int
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()

    @property
    def style(self) -> str:
        """The CSS classes of its color and dash pattern."""
        dashes, colour = divmod(self.number - 1, COLOURS)
        return f"c{colour + 1}" + (f" d{dashes % DASHES}" if dashes % DASHES else "")


@dataclass(frozen=True)
class ReferenceLine:
    """A horizontal reference line."""

    name: str
    value: float


@dataclass(frozen=True)
class Axes:
    """The titles of the axes, the format of x values, whether x is a time in seconds, and whether the y axis is
    logarithmic."""

    x: str
    y: str
    write_x: Callable[[float], str] = lambda value: f"{value:,.0f}"
    logarithmic: bool = False
    time: bool = False


def drawable(line: Line, log: bool) -> Line:
    """The curve with its finite points; a long one is reduced to the mean of each segment."""
    points = [(x, y) for x, y in line.points if _is_drawable(x, log, y)]
    band = [(x, low, high) for x, low, high in line.band if _is_drawable(x, log, low, high)]
    means = [(x, y) for x, y in _means(points)]
    return Line(line.name, line.number, means, [(x, low, high) for x, low, high in _means(band)])


def _is_drawable(x: float, log: bool, *values: float) -> bool:
    return abs(x) < LARGEST and all(abs(y) < LARGEST and (y > LEAST or not log) for y in values)


def _means(points: Sequence[tuple[float, ...]]) -> Sequence[tuple[float, ...]]:
    """At most MOST_POINTS points: each the mean of a segment."""
    if len(points) <= MOST_POINTS:
        return points
    size = math.ceil(len(points) / MOST_POINTS)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [tuple(sum(values) / len(part) for values in zip(*part, strict=True)) for part in parts]
