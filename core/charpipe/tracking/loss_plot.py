"""A run's losses as a chart."""

from __future__ import annotations

from charpipe.pages.charts import Axes, Line, chart, document
from charpipe.runs import Run
from charpipe.tracking.tail import Tail

SHOWN = {"train/loss": "training", "val/loss": "validation", "test/loss": "test"}
NUMBERS = {"train/loss": 2, "val/loss": 1, "test/loss": 3}
"""The numbers of the lines: validation has the same color as in the run's report."""


def draw(run: Run) -> str | None:
    """Nats per token against steps, for each evaluated split, as an SVG file; None if none was evaluated."""
    curves: dict[str, list[tuple[float, float]]] = {key: [] for key in SHOWN}
    for line in Tail(run.metrics_file).lines():
        for key in SHOWN:
            if key in line:
                curves[key].append((line["step"], line[key]))
    lines = [Line(SHOWN[key], NUMBERS[key], sorted(points)) for key, points in curves.items()]
    drawn = chart(lines, Axes("step", "nats per token"))
    return None if drawn is None else document(drawn, run.name)
