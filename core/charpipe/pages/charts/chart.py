"""Draw a line chart as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

from charpipe.pages.charts.curves import Axes, Line, ReferenceLine, drawable
from charpipe.pages.charts.names import GAP, beside, fit_beside, legend, names_of
from charpipe.pages.charts.scales import Scale, written

WIDTH, HEIGHT = 760, 320
LEAST_LEFT, RIGHT, TOP, BOTTOM = 62, 8, 14, 46
DIGIT = 11
"""The width of a digit of a tick at its largest size, on a phone."""
TITLE = 40
"""The width of the left axis' title, with the space around it."""
MARKED = 40
"""A curve with at most this many points shows a marker for each, unless there are many curves."""


@dataclass(frozen=True)
class Chart:
    """A drawn chart: the parts of its SVG, its height, and its description for screen readers."""

    body: str
    height: float
    label: str

    def __html__(self) -> str:
        return str(self)  # a template takes it as it is

    def __str__(self) -> str:
        """The chart as an SVG element of a page."""
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height:g}" role="img" aria-label="{escape(self.label)}">'
            f"{self.body}</svg>"
        )


def chart(lines: Sequence[Line], axes: Axes, levels: Sequence[ReferenceLine] = ()) -> Chart | None:
    """The chart; None if no curve has a finite point."""
    lines = [drawn for line in lines if (drawn := drawable(line, axes.logarithmic)).points]
    if not lines:
        return None
    levels = [level for level in levels if math.isfinite(level.value) and level.value > 0]
    names = names_of(lines, levels)
    below = not fit_beside(names)
    room = 0.0 if below else GAP + max(name.width for name in names)
    up = Scale(*_range(lines, levels), HEIGHT - BOTTOM, TOP, axes.logarithmic, room=0.06)
    xs = [x for line in lines for x, _ in line.points]
    across = Scale(min(xs), max(xs), _left(up), WIDTH - RIGHT - room)
    parts = [*_grid(across, up, axes), *_levels(levels, across, up)]
    parts += _curves(lines, across, up, marked=1 if below else MARKED)
    height: float = HEIGHT
    if below:
        listed, more = legend(names, across.start, WIDTH - RIGHT, HEIGHT)
        height += more
    else:
        ends = [up(line.points[-1][1]) for line in lines] + [up(level.value) for level in levels]
        listed = beside(names, across.end, ends, HEIGHT - BOTTOM)
    told = "; ".join(
        f"{line.name} from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in lines
    )
    return Chart("".join([*parts, *listed]), height, f"{axes.y} over {axes.x}: {told}")


def _range(lines: Sequence[Line], levels: Sequence[ReferenceLine]) -> tuple[float, float]:
    """The least and the greatest y."""
    ys = [y for line in lines for _, y in line.points]
    ys += [y for line in lines for _, *ends in line.band for y in ends]
    ys += [level.value for level in levels]
    return min(ys), max(ys)


def _left(up: Scale) -> float:
    """The width of the left axis' title and its longest tick label."""
    return max(LEAST_LEFT, TITLE + DIGIT * max((len(written(value)) for value in up.ticks()), default=0))


def _grid(across: Scale, up: Scale, axes: Axes) -> list[str]:
    bottom, left, right = HEIGHT - BOTTOM, across.start, across.end
    parts = []
    for value in up.ticks():
        y = up(value)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{y + 4}" text-anchor="end">{written(value)}</text>'
        )
    parts.extend(
        f'<text class="tick" x="{across(value)}" y="{bottom + 18}" text-anchor="middle">'
        f"{escape(axes.write_x(value))}</text>"
        for value in across.ticks(axes.time)
    )
    parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    middle = (left + right) / 2
    parts.append(
        f'<text class="tick" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(axes.x)}</text>'
    )
    turned = f"translate(18 {(TOP + bottom) / 2}) rotate(-90)"
    parts.append(f'<text class="tick" transform="{turned}" text-anchor="middle">{escape(axes.y)}</text>')
    return parts


def _levels(levels: Sequence[ReferenceLine], across: Scale, up: Scale) -> list[str]:
    heights = [up(level.value) for level in levels]
    return [f'<line class="level" x1="{across.start}" x2="{across.end}" y1="{y}" y2="{y}"/>' for y in heights]


def _curves(lines: Sequence[Line], across: Scale, up: Scale, marked: int) -> list[str]:
    """The curves over their bands; one of at most `marked` points with a marker for each."""
    parts = []
    for line in lines:
        if line.band:
            edge = [(x, high) for x, _, high in line.band] + [(x, low) for x, low, _ in reversed(line.band)]
            parts.append(f'<polygon class="band {line.style}" points="{_path(edge, across, up)}"/>')
    for line in lines:
        path = _path(line.points, across, up)
        parts.append(f'<polyline class="curve {line.style}" points="{path}"/>')
        if len(line.points) <= marked:
            parts.extend(
                f'<circle class="dot {line.style}" cx="{across(x)}" cy="{up(y)}" r="3">'
                f"<title>{escape(line.name)}: {y:.4g}</title></circle>"
                for x, y in line.points
            )
    return parts


def _path(points: Sequence[tuple[float, float]], across: Scale, up: Scale) -> str:
    return " ".join(f"{across(x)},{up(y)}" for x, y in points)
