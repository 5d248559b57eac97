"""The trials of a sweep as a table: for the terminal, MLflow, the page and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charpipe.sweeps.sweep import SweepTrial

FACTS = ("parameters", "steps", "seconds", "run", "error")


def head_of(keys: Sequence[str]) -> list[str]:
    """The columns of `cells_of`; the settings by the last part of their keys where that is unambiguous."""
    return ["trial", "val loss", "bits/char", *short_keys(keys), "steps", "seconds", "outcome"]


def cells_of(trial: SweepTrial, keys: Sequence[str]) -> list[str]:
    """A trial as formatted cells, one per column."""
    return [
        str(trial.number),
        number(trial.val_loss, ".4f"),
        number(trial.val_bits, ".4f"),
        *(shown(trial.settings[key]) if key in trial.settings else "" for key in keys),
        number(trial.steps, ","),
        number(trial.seconds, ".1f"),
        trial.error or ("" if trial.state == "complete" else trial.state),
    ]


def short_keys(keys: Sequence[str]) -> list[str]:
    """`learning_rate` for `train.learning_rate`, unless another key ends in the same word."""
    lasts = [key.rpartition(".")[2] for key in keys]
    return [last if lasts.count(last) == 1 else key for key, last in zip(keys, lasts, strict=True)]


def write_trials(path: Path, trials: Sequence[SweepTrial], keys: Sequence[str]) -> None:
    """Write the trials as CSV, best first; unknown values are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "state", "val_loss", "val_bits", *keys, *FACTS])
        for trial in trials:
            settings = [trial.settings.get(key) for key in keys]
            facts = [getattr(trial, name) for name in FACTS]
            writer.writerow([trial.number, trial.state, trial.val_loss, trial.val_bits, *settings, *facts])


def number(value: float | None, form: str) -> str:
    """A number in a format; empty where it is unknown."""
    return "" if value is None else format(value, form)


def shown(value: Any) -> str:
    """A setting's value in few characters."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)
