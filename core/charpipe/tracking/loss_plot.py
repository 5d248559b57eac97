"""Plot a run's losses, without a display."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charpipe.runs import Run
from charpipe.tracking.tail import Tail

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = {"train/loss": "training", "val/loss": "validation", "test/loss": "test"}


def draw(run: Run) -> Figure | None:
    """Nats per token against steps, for each evaluated split; None if none was evaluated."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves: dict[str, list[tuple[int, float]]] = {key: [] for key in SHOWN}
    for line in Tail(run.metrics_file).lines():
        for key in SHOWN:
            if key in line:
                curves[key].append((line["step"], line[key]))
    if not any(curves.values()):
        return None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="step", ylabel="nats per token", title=run.name)
    for key, points in curves.items():
        if points:
            axes.plot(
                *zip(*sorted(points), strict=True), label=SHOWN[key], marker="." if len(points) < 40 else None
            )
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
