"""The learning curves of several configurations as a chart: for each the mean over its seeds, and a band around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from charpipe.pages.charts import Axes, Line, ReferenceLine, chart, document
from charpipe.reports.history import Point

AXES = {"step": "step", "seconds": "seconds since the first measurement"}
GRID = 200


def draw(curves: Mapping[str, Sequence[Sequence[Point]]], across: str) -> str | None:
    """Validation bits per character over steps or, with `across` "seconds", over time, as an SVG file; None if there is
    no curve. A configuration measured only once, such as a count-based model, is a horizontal line."""
    found = {title: [list(curve) for curve in group if curve] for title, group in curves.items()}
    found = {title: group for title, group in found.items() if group}
    learnt = {title: group for title, group in found.items() if any(len(curve) > 1 for curve in group)}
    if not learnt:
        return None
    lines = [_line(title, number, group, across) for number, (title, group) in enumerate(learnt.items(), 1)]
    levels = [
        ReferenceLine(f"{title} (count-based)", float(np.mean([curve[0].value for curve in group])))
        for title, group in found.items()
        if title not in learnt
    ]
    drawn = chart(lines, Axes(AXES[across], "bits per character of validation text"), levels)
    return None if drawn is None else document(drawn, _title(found))


def _title(found: Mapping[str, Sequence[Sequence[Point]]]) -> str:
    seeds = max(len(group) for group in found.values())
    return "Learning curves" + (
        f" (mean over {seeds} seeds, band: ± one standard deviation)" if seeds > 1 else ""
    )


def _line(title: str, number: int, group: Sequence[Sequence[Point]], across: str) -> Line:
    x, values = together(group, across)
    mean = values.mean(axis=0)
    points = [(float(place), float(value)) for place, value in zip(x, mean, strict=True)]
    if len(group) == 1:
        return Line(title, number, points)
    spread = values.std(axis=0, ddof=1)
    band = [
        (place, value - float(width), value + float(width))
        for (place, value), width in zip(points, spread, strict=True)
    ]
    return Line(title, number, points, band)


def together(found: Sequence[Sequence[Point]], across: str) -> tuple[Any, Any]:
    """The curves at common positions: x [n] and values [curves, n], interpolated if their own positions differ, and
    only where all of them were measured."""
    places = [np.array([getattr(point, across) for point in curve], dtype=float) for curve in found]
    values = [np.array([point.value for point in curve]) for curve in found]
    if all(np.array_equal(places[0], other) for other in places):
        return places[0], np.stack(values)
    low, high = max(place[0] for place in places), min(place[-1] for place in places)
    x = np.linspace(low, max(low, high), GRID)
    return x, np.stack([np.interp(x, place, value) for place, value in zip(places, values, strict=True)])
