"""Plot the learning curves of several configurations: for each the mean over its seeds, with a band around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from charpipe.reports.history import Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AXES = {"step": "step", "seconds": "seconds since the first measurement"}
STYLES = ("-", "--", ":", "-.")
COLOURS = 10
GRID = 200


def draw(curves: Mapping[str, Sequence[Sequence[Point]]], across: str) -> Figure | None:
    """Validation bits per character over steps or, with `across` "seconds", over time; None if there is no curve. A
    configuration measured only once, such as a count-based model, is a horizontal line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = {title: [list(curve) for curve in found if curve] for title, found in curves.items()}
    drawn = {title: found for title, found in drawn.items() if found}
    if not any(len(curve) > 1 for found in drawn.values() for curve in found):
        return None
    figure = Figure(figsize=(9, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(
        xlabel=AXES[across], ylabel="bits per character of validation text", title=_title(drawn)
    )
    for number, (title, found) in enumerate(drawn.items()):
        style: dict[str, Any] = {
            "color": f"C{number % COLOURS}",
            "linestyle": STYLES[number // COLOURS % len(STYLES)],
        }
        _curve(axes, title, found, across, style)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right", fontsize="small", ncols=1 + len(drawn) // 12)
    return figure


def _title(drawn: Mapping[str, Sequence[Sequence[Point]]]) -> str:
    seeds = max(len(found) for found in drawn.values())
    return "Learning curves" + (
        f" (mean over {seeds} seeds, band: ± one standard deviation)" if seeds > 1 else ""
    )


def _curve(axes: Any, title: str, found: list[list[Point]], across: str, style: dict[str, Any]) -> None:
    if all(len(curve) == 1 for curve in found):
        level = float(np.mean([curve[0].value for curve in found]))
        axes.axhline(level, label=f"{title} (count-based)", **style | {"linestyle": (0, (1, 1))})
        return
    x, values = together(found, across)
    mean = values.mean(axis=0)
    axes.plot(x, mean, label=title, **style)
    if len(found) > 1:
        spread = values.std(axis=0, ddof=1)
        axes.fill_between(x, mean - spread, mean + spread, color=style["color"], alpha=0.2, linewidth=0)


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
