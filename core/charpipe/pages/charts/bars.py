"""Draw shares as horizontal bars, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

from charpipe.pages.charts.chart import WIDTH, Chart
from charpipe.pages.charts.names import LETTER, cut

ROW, TOP, GAP = 30, 8, 12
"""The height of a row, the space above the first, and the space between a bar and the texts beside it."""
VALUE = 70
"""The width of a value, beside its bar."""
WIDEST = 360.0
"""The width of the names, at most."""


@dataclass(frozen=True)
class Bar:
    """A name, a length (not below 0), and the length as text."""

    name: str
    length: float
    text: str


def bars(found: Sequence[Bar], what: str) -> Chart | None:
    """The bars in their order; None if there are none. `what` says what their lengths are."""
    longest = max((bar.length for bar in found), default=0.0)
    if longest <= 0:
        return None
    names = [cut(bar.name) for bar in found]
    left = min(WIDEST, LETTER * max(len(name) for name in names)) + GAP
    parts = []
    for number, (bar, name) in enumerate(zip(found, names, strict=True)):
        y, width = TOP + ROW * number, round((WIDTH - left - VALUE) * bar.length / longest, 1)
        parts.append(
            f'<text class="tick listed" x="{left - GAP}" y="{y + 18}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar c1" x="{left}" y="{y + 4}" width="{max(width, 1)}" height="{ROW - 10}" rx="2"/>'
            f'<text class="tick listed" x="{left + width + GAP / 2}" y="{y + 18}">{escape(bar.text)}</text>'
        )
    told = "; ".join(f"{bar.name} {bar.text}" for bar in found)
    return Chart("".join(parts), TOP + ROW * len(found) + 4, f"{what}: {told}")
