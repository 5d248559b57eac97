"""Draw parallel coordinates as SVG: a vertical axis for each quantity, and a line across them for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

from charpipe.pages.charts.chart import WIDTH, Chart
from charpipe.pages.charts.names import cut
from charpipe.pages.charts.scales import Scale, written

HEIGHT, TOP, BOTTOM = 340, 22, 64
SIDE = 70
"""The space left and right of the outermost axes, for their ticks."""
TICKS = 6
"""A categorical axis shows all its values; one of numbers about this many."""


@dataclass(frozen=True)
class Axis:
    """An axis: its name, and the value of each row on it; words instead of numbers if it has `words`, in this order."""

    name: str
    values: Sequence[float]
    logarithmic: bool = False
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """A line across the axes: what it is, and whether it is one of those to stand out."""

    name: str
    marked: bool


def parallel(axes: Sequence[Axis], rows: Sequence[Row], what: str) -> Chart | None:
    """The chart; None without rows. Those to stand out are drawn over the others. `what` describes it in a sentence."""
    if not rows or len(axes) < 2:
        return None
    apart = (WIDTH - 2 * SIDE) / (len(axes) - 1)
    xs = [round(SIDE + apart * number, 1) for number in range(len(axes))]
    scales = [_scale(axis) for axis in axes]
    parts = [
        part for x, axis, scale in zip(xs, axes, scales, strict=True) for part in _axis(x, axis, scale, apart)
    ]
    for marked in (False, True):
        for number, row in enumerate(rows):
            if row.marked == marked:
                parts.append(
                    _line(
                        row,
                        [scale(axis.values[number]) for axis, scale in zip(axes, scales, strict=True)],
                        xs,
                    )
                )
    return Chart("".join(parts), HEIGHT, what)


def _scale(axis: Axis) -> Scale:
    if axis.words:
        return Scale(0, max(1, len(axis.words) - 1), HEIGHT - BOTTOM, TOP, room=0.04)
    return Scale(min(axis.values), max(axis.values), HEIGHT - BOTTOM, TOP, axis.logarithmic, room=0.04)


def _axis(x: float, axis: Axis, scale: Scale, apart: float) -> list[str]:
    parts = [f'<line class="axis" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>']
    ticks = (
        list(enumerate(axis.words))
        if axis.words
        else [(value, written(value)) for value in _ticks(axis, scale)]
    )
    for value, text in ticks:
        y = scale(float(value))
        parts.append(f'<line class="axis" x1="{x - 4}" x2="{x}" y1="{y}" y2="{y}"/>')
        parts.append(
            f'<text class="tick listed" x="{x - 7}" y="{y + 4}" text-anchor="end">{escape(text)}</text>'
        )
    lines = _name_lines(axis.name, apart)
    for number, line in enumerate(lines):
        y = HEIGHT - BOTTOM + 22 + 15 * number
        parts.append(f'<text class="tick listed" x="{x}" y="{y}" text-anchor="middle">{escape(line)}</text>')
    return parts


def _ticks(axis: Axis, scale: Scale) -> list[float]:
    """Round values; of a logarithmic axis the powers of ten with their twos and fives."""
    if not axis.logarithmic:
        return scale.ticks()
    low, high = 10**scale.first, 10**scale.last
    found = [factor * 10.0**power for power in range(-12, 13) for factor in (1, 2, 5)]
    inside = [value for value in found if low <= value <= high]
    return inside if len(inside) <= TICKS else [value for value in inside if written(value).startswith("1")]


def _name_lines(name: str, apart: float) -> list[str]:
    """A dotted name in up to three lines, of as many letters as there is room for."""
    room = max(8, int(apart / 7.5))
    lines: list[str] = []
    for part in name.replace("_", "_ ").replace(".", ". ").split():
        if lines and len(lines[-1]) + len(part) <= room:
            lines[-1] += part
        else:
            lines.append(part)
    return [cut(line) for line in lines[:3]]


def _line(row: Row, ys: Sequence[float], xs: Sequence[float]) -> str:
    points = " ".join(f"{x},{y}" for x, y in zip(xs, ys, strict=True))
    style = "curve c2" if row.marked else "curve c1 faint"
    return f'<polyline class="{style}" points="{points}"><title>{escape(row.name)}</title></polyline>'
