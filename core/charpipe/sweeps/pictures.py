"""The pictures of a sweep: how important each setting is, and the trials in parallel coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charpipe.pages.charts import Axis, Bar, Chart, Row, bars, parallel
from charpipe.sweeps.space import Dimension
from charpipe.sweeps.sweep import SweepTrial
from charpipe.sweeps.table import number, shown

MARKED = 5
"""Of the best trials, these at most stand out; never more than a fifth."""


def importance_picture(importances: Mapping[str, float]) -> Chart | None:
    """A bar for each setting, the most important first; None where nothing is known."""
    found = [Bar(key, share, f"{100 * share:.0f} %") for key, share in importances.items()]
    return bars(found, "importance of each setting")


def parallel_picture(space: Sequence[Dimension], trials: Sequence[SweepTrial]) -> Chart | None:
    """A line for each complete or pruned trial, from setting to setting to its loss; `trials` is best first."""
    seen = [trial for trial in trials if trial.val_loss is not None and _has_all(space, trial)]
    if len(seen) < 2:
        return None
    axes = [_axis(dimension, seen) for dimension in space]
    axes.append(Axis("val/loss", [float(trial.val_loss or 0.0) for trial in seen]))
    best = max(1, min(MARKED, len(seen) // 5))
    rows = [Row(_name(trial), number < best) for number, trial in enumerate(seen)]
    what = f"settings and validation loss of {len(seen)} trials; the {best} best stand out: {rows[0].name}"
    return parallel(axes, rows, what)


def _has_all(space: Sequence[Dimension], trial: SweepTrial) -> bool:
    return all(dimension.key in trial.settings for dimension in space)


def _axis(dimension: Dimension, trials: Sequence[SweepTrial]) -> Axis:
    values = [trial.settings[dimension.key] for trial in trials]
    if not dimension.choices:
        return Axis(dimension.key, [float(value) for value in values], dimension.log)
    words = [shown(choice) for choice in dimension.choices]
    return Axis(dimension.key, [float(_place(dimension.choices, value)) for value in values], words=words)


def _place(choices: Sequence[Any], value: Any) -> int:
    return list(choices).index(value)


def _name(trial: SweepTrial) -> str:
    settings = ", ".join(f"{key} {shown(value)}" for key, value in trial.settings.items())
    return f"trial {trial.number}: {settings}: {number(trial.val_loss, '.4f')} nats"
