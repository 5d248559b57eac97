"""Line charts as inline SVG: they use the page's colors, scale to a phone, and are accessible to screen readers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

WIDTH, HEIGHT = 760, 320
MIN_LEFT, TOP, BOTTOM = 62, 14, 46
LETTER, BOLD, DIGIT = 10, 11.5, 11
"""The widths of a letter of a level's label, of a curve's label, and of a tick, at their largest size, on a phone."""
TITLE = 40
"""The width of the left axis' title, with the space around it."""
APART = 20.0
"""The minimum distance between two labels: the height of one at that size."""
MAX_POINTS = 600
MAX_VALUE, MIN_VALUE = 1e12, 1e-12
"""Values above MAX_VALUE are treated as infinite, and on a logarithmic axis, values below MIN_VALUE as zero."""
MARKED = 40
"""A curve with at most this many points shows a marker for each."""


@dataclass(frozen=True)
class Line:
    """A curve: its name, the number of its color (1 to 4), and points `(x, y)` in order of x."""

    name: str
    colour: int
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class ReferenceLine:
    """A horizontal reference line."""

    name: str
    value: float


@dataclass(frozen=True)
class Axes:
    """The titles of the axes, the format of x values, and whether the y axis is logarithmic."""

    x: str
    y: str
    write_x: Callable[[float], str] = lambda value: f"{value:,.0f}"
    logarithmic: bool = False


def chart(lines: Sequence[Line], axes: Axes, levels: Sequence[ReferenceLine] = ()) -> Markup | None:
    """The chart as an SVG element; None if no curve has a finite point."""
    lines = [Line(line.name, line.colour, _drawable(line.points, axes.logarithmic)) for line in lines]
    lines = [line for line in lines if line.points]
    if not lines:
        return None
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    low, high = min(ys), max(ys)
    levels = [level for level in levels if math.isfinite(level.value) and level.value > 0]
    low = min([low, *(level.value for level in levels)])
    high = max([high, *(level.value for level in levels)])
    up = _Scale(low, high, HEIGHT - BOTTOM, TOP, axes.logarithmic, room=0.06)
    across = _Scale(min(xs), max(xs), _left(up), WIDTH - 16 - _widest(lines, levels))
    ends = [up(line.points[-1][1]) for line in lines] + [up(level.value) for level in levels]
    labels = _apart(ends)  # labels must not overlap
    curves, held = labels[: len(lines)], labels[len(lines) :]
    parts = [
        *_grid(across, up, axes),
        *_levels(levels, across, up, held),
        *_curves(lines, across, up, curves),
    ]
    summary = "; ".join(
        f"{line.name} from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in lines
    )
    label = escape(f"{axes.y} over {axes.x}: {summary}")
    body = "".join(parts)
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{body}</svg>')  # noqa: S704


def _left(up: _Scale) -> float:
    """The width of the left axis' title and its longest tick label."""
    return max(MIN_LEFT, TITLE + DIGIT * max((len(_short(value)) for value in up.ticks()), default=0))


def _widest(lines: Sequence[Line], levels: Sequence[ReferenceLine]) -> float:
    """The width of the widest label to the right of the curves."""
    return max([*(BOLD * len(line.name) for line in lines), *(LETTER * len(level.name) for level in levels)])


class _Scale:
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

    def ticks(self) -> list[float]:
        """Round values between the ends."""
        first, last = (10**self.first, 10**self.last) if self.log else (self.first, self.last)
        step = _round_step((last - first) / 5)
        start = math.ceil(first / step)
        return [n * step for n in range(start, math.floor(last / step) + 1)]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _grid(across: _Scale, up: _Scale, axes: Axes) -> list[str]:
    bottom, left, right = HEIGHT - BOTTOM, across.start, across.end
    parts = []
    for value in up.ticks():
        y = up(value)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{y + 4}" text-anchor="end">{_short(value)}</text>'
        )
    parts.extend(
        f'<text class="tick" x="{across(value)}" y="{bottom + 18}" text-anchor="middle">'
        f"{escape(axes.write_x(value))}</text>"
        for value in across.ticks()
    )
    parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle = (left + right) / 2
    parts.append(
        f'<text class="tick" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(axes.x)}</text>'
    )
    rotation = f"translate(18 {(TOP + bottom) / 2}) rotate(-90)"
    parts.append(f'<text class="tick" transform="{rotation}" text-anchor="middle">{escape(axes.y)}</text>')
    return parts


def _levels(
    levels: Sequence[ReferenceLine], across: _Scale, up: _Scale, places: Sequence[float]
) -> list[str]:
    parts, left, right = [], across.start, across.end
    for level, place in zip(levels, places, strict=True):
        y = up(level.value)
        parts.append(f'<line class="level" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{right + 8}" y="{place + 4}">{escape(level.name)}</text>')
    return parts


def _curves(lines: Sequence[Line], across: _Scale, up: _Scale, places: Sequence[float]) -> list[str]:
    parts = []
    for line, place in zip(lines, places, strict=True):
        path = " ".join(f"{across(x)},{up(y)}" for x, y in line.points)
        parts.append(f'<polyline class="curve c{line.colour}" points="{path}"/>')
        if len(line.points) <= MARKED:
            parts.extend(
                f'<circle class="dot c{line.colour}" cx="{across(x)}" cy="{up(y)}" r="3">'
                f"<title>{escape(line.name)}: {y:.4g}</title></circle>"
                for x, y in line.points
            )
        x = across(line.points[-1][0]) + 8
        parts.append(f'<text class="name c{line.colour}" x="{x}" y="{place + 4}">{escape(line.name)}</text>')
    return parts


def _apart(places: list[float], lowest: float = HEIGHT - BOTTOM) -> list[float]:
    """The same positions, moved apart where two labels would touch, none below `lowest`."""
    moved = list(places)
    order = sorted(range(len(places)), key=lambda n: places[n])
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + APART)
    floor = lowest
    for place in reversed(order):
        moved[place] = min(moved[place], floor)
        floor = moved[place] - APART
    return moved


def _drawable(points: Sequence[tuple[float, float]], log: bool) -> list[tuple[float, float]]:
    """The finite points; a long curve is reduced to the mean of each segment."""
    finite = [
        (x, y) for x, y in points if abs(x) < MAX_VALUE and abs(y) < MAX_VALUE and (y > MIN_VALUE or not log)
    ]
    if len(finite) <= MAX_POINTS:
        return finite
    size = math.ceil(len(finite) / MAX_POINTS)
    parts = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _short(value: float) -> str:
    return f"{value:.3g}" if value == 0 or abs(value) >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")
