"""The names of curves and levels: beside their ends, or below the chart where there are too many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import escape

from charpipe.pages.charts.curves import Line, ReferenceLine

LETTER, BOLD = 10, 11.5
"""The widths of a letter of a level's name, and of a curve's, at their largest size, on a phone."""
APART = 20.0
"""The minimum distance between two names: the height of one at that size."""
GAP = 18
"""The distance from the end of a line to its name."""
MOST_BESIDE = 10
"""With more names than this, they are in a legend below the chart."""
WIDEST_BESIDE = 360.0
"""With a wider name than this, too."""
LONGEST = 80
"""A longer name is cut."""
LISTED, SAMPLE, ROW = 7.5, 22, 18
"""In a legend, whose text is no larger on a phone: the width of a letter, the length of a line, a row's height."""


@dataclass(frozen=True)
class Name:
    """The text of a name, its width, and the CSS classes of its line and of its text."""

    text: str
    width: float
    line: str
    style: str


def names_of(lines: Sequence[Line], levels: Sequence[ReferenceLine]) -> list[Name]:
    """The names of the curves, then of the levels."""
    lines = [replace(one, name=cut(one.name)) for one in lines]
    levels = [replace(one, name=cut(one.name)) for one in levels]
    curves = [
        Name(one.name, BOLD * len(one.name), f"curve {one.style}", f"name {one.style}") for one in lines
    ]
    return curves + [Name(one.name, LETTER * len(one.name), "level", "tick") for one in levels]


def fit_beside(names: Sequence[Name]) -> bool:
    """Whether there is room for the names beside the ends of their lines."""
    return len(names) <= MOST_BESIDE and max(name.width for name in names) <= WIDEST_BESIDE


def beside(names: Sequence[Name], x: float, ends: Sequence[float], lowest: float) -> list[str]:
    """The names beside the ends of their lines at `x`, moved apart where two would touch. A thin line leads from the
    end to a name that was moved."""
    places = _apart(ends, lowest)
    leaders = [
        f'<line class="leader" x1="{x + 2}" x2="{x + GAP - 2}" y1="{end}" y2="{place}"/>'
        for end, place in zip(ends, places, strict=True)
        if abs(place - end) > APART / 4
    ]
    return leaders + [
        f'<text class="{name.style}" x="{x + GAP}" y="{place + 4}">{escape(name.text)}</text>'
        for name, place in zip(names, places, strict=True)
    ]


def legend(names: Sequence[Name], left: float, right: float, top: float) -> tuple[list[str], float]:
    """The names in columns between `left` and `right`, from `top` on; and the height that they take."""
    width = SAMPLE + 20 + LISTED * max(len(name.text) for name in names)
    columns = max(1, int((right - left) // width))
    rows = math.ceil(len(names) / columns)
    parts = []
    for number, name in enumerate(names):
        x, y = left + width * (number // rows), top + ROW * (number % rows + 0.5)
        parts.append(f'<line class="{name.line}" x1="{x}" x2="{x + SAMPLE}" y1="{y}" y2="{y}"/>')
        place = f'class="{name.style} listed" x="{x + SAMPLE + 8}" y="{y + 4}"'
        parts.append(f"<text {place}>{escape(name.text)}</text>")
    return parts, ROW * rows + 8


def cut(name: str) -> str:
    """The name, cut to LONGEST letters."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _apart(places: Sequence[float], lowest: float) -> list[float]:
    """The same positions, moved apart where two names would touch, none below `lowest`."""
    moved = list(places)
    order = sorted(range(len(places)), key=lambda n: places[n])
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + APART)
    floor = lowest
    for place in reversed(order):
        moved[place] = min(moved[place], floor)
        floor = moved[place] - APART
    return moved
