"""Compare runs in a terminal: their scores, their different settings, and their learning curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from charpipe.reports.history import Point, read_history
from charpipe.reports.titles import run_title
from charpipe.runs import Run, RunInfo
from charpipe.runs.uniform_baseline import warn_about

BARS = "▁▂▃▄▅▆▇█"
CURVE = "val/bits_per_char"
WIDTH = 32


@dataclass
class SideBySide:
    """`scores` and `settings` by name, one value per run (None if it has none); `curves` with one list of points per
    run."""

    runs: list[str]
    titles: list[str]
    scores: dict[str, list[float | None]] = field(default_factory=dict)
    settings: dict[str, list[Any]] = field(default_factory=dict)
    curves: list[list[Point]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """A warning for each run that is worse than guessing."""

    def as_json(self) -> dict[str, Any]:
        """A JSON object; a curve's points are `[step, seconds, bits per character]`."""
        return {
            "runs": self.runs,
            "titles": self.titles,
            "scores": self.scores,
            "settings": self.settings,
            "curves": [[[p.step, round(p.seconds, 3), p.value] for p in curve] for curve in self.curves],
            "warnings": self.warnings,
        }


def side_by_side(runs: Sequence[Run]) -> SideBySide:
    """Compare the runs. Raises RunError if one is damaged or of another schema."""
    infos, statuses = [run.info for run in runs], [run.status for run in runs]
    metrics = [status.metrics or (status.best or status.last or {}).get("metrics", {}) for status in statuses]
    names = sorted({name for one in metrics for name in one})
    scores: dict[str, list[float | None]] = {name: [one.get(name) for one in metrics] for name in names}
    scores["parameters"] = [status.parameters for status in statuses]
    scores["steps"] = [status.step for status in statuses]
    scores["seconds"] = [round(status.seconds, 1) for status in statuses]
    return SideBySide(
        [run.name for run in runs],
        [run_title(info) for info in infos],
        scores,
        _differing([_settings(info) for info in infos]),
        [read_history(run).curve(CURVE) for run in runs],
        [warning for one in zip(infos, statuses, strict=True) if (warning := warn_about(*one)) is not None],
    )


def sparkline(points: Sequence[Point], low: float, high: float, width: int = WIDTH) -> str:
    """A curve as one line of at most `width` characters; `low` and `high` are the limits of all compared curves."""
    values = [point.value for point in points if math.isfinite(point.value)]
    if len(values) > width:
        values = [values[round(n * (len(values) - 1) / (width - 1))] for n in range(width)]
    span = (high - low) or 1.0
    return "".join(BARS[max(0, min(7, int(8 * (value - low) / span)))] for value in values)


def _settings(info: RunInfo) -> dict[str, Any]:
    tables = ("train", "sample") if info.is_trained_by_steps else ("sample",)
    shown = {key: value for key, value in info.settings.items() if key.split(".")[0] in tables}
    model = {f"model.{key}": value for key, value in info.architecture_config.items()}
    return {"corpus": info.corpus, "arch": info.architecture, **model, **shown}


def _differing(settings: list[dict[str, Any]]) -> dict[str, list[Any]]:
    keys = dict.fromkeys(key for one in settings for key in one)
    table = {key: [one.get(key) for one in settings] for key in keys}
    return {key: row for key, row in table.items() if any(value != row[0] for value in row)}
