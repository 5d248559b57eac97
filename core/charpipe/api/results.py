"""The results of `charpipe.train`, `compare` and `sweep`, and their display in a session or a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charpipe.comparison.leaderboard import HEAD, LeaderboardEntry, cells_of
from charpipe.comparison.leaderboard import table as aligned
from charpipe.pages.notebook import block, escaped, shortened, table
from charpipe.sweeps.sweep import SweepTrial
from charpipe.sweeps.table import cells_of as trial_cells
from charpipe.sweeps.table import head_of as trial_head

SCORES = (
    ("test/bits_per_char", "bits per character, test"),
    ("val/bits_per_char", "bits per character, validation"),
    ("test/loss", "nats per token, test"),
    ("val/loss", "nats per token, validation"),
)
"""The scores shown first, and their display names."""


@dataclass(frozen=True, repr=False)
class Trained:
    """The result of a training: the run's name and folder, its scores by metric name, and its sample."""

    name: str
    folder: Path
    metrics: Mapping[str, float]
    sample: str
    predictions: tuple[Mapping[str, Any], ...] = ()
    warning: str | None = None
    """If the model is worse than guessing: how bad it is, and what to set."""

    def __repr__(self) -> str:
        bits = next((self.metrics[key] for key, _ in SCORES[:2] if key in self.metrics), None)
        score = "" if bits is None else f", {bits:.3f} bits per character"
        worse = ", worse than guessing" if self.warning else ""
        return f"<Trained {shortened(self.name, 120)}{score}{worse}, {len(self.sample):,} characters written>"

    def _repr_html_(self) -> str:
        """The scores and the sample, for notebooks."""
        warning = f"<p><b>{escaped(self.warning, 400)}</b></p>" if self.warning else ""
        rows = [(name, f"{self.metrics[key]:.4f}") for key, name in SCORES if key in self.metrics]
        scores = table((), rows) if rows else ""
        return f"<p><b>{escaped(self.name)}</b></p>{warning}{scores}{block(self.sample)}"


class Leaderboard(tuple[Mapping[str, Any], ...]):
    """The configurations of a comparison, best first: one mapping each, with the columns of `leaderboard.csv`."""

    __slots__ = ()

    def __repr__(self) -> str:
        best = f": {'; '.join(_shown(row) for row in self[:3])}" if self else ""
        more = f"; {len(self) - 3} more" if len(self) > 3 else ""
        return f"<Leaderboard{best}{more}>"

    def __str__(self) -> str:
        """The table that `charpipe run compare-architectures` prints."""
        return aligned([LeaderboardEntry(**row) for row in self])

    def _repr_html_(self) -> str:
        return table(*_columns(self))


@dataclass(frozen=True, repr=False)
class Compared:
    """The result of a comparison: its name; the folder with `leaderboard.csv` and `runs.csv`; an entry per
    configuration, best first; a row per training; failed ones have an `error`."""

    name: str
    folder: Path
    leaderboard: Leaderboard
    rows: tuple[Mapping[str, Any], ...]

    def __repr__(self) -> str:
        failed = sum(bool(row.get("error")) for row in self.rows)
        trainings = f"{len(self.rows)} trainings{f', {failed} failed' if failed else ''}"
        return f"<Compared {shortened(self.name, 120)}, {trainings}: {self.leaderboard!r}>"

    def _repr_html_(self) -> str:
        """The leaderboard, for notebooks."""
        return f"<p><b>{escaped(self.name)}</b></p>{self.leaderboard._repr_html_()}"


@dataclass(frozen=True, repr=False)
class Swept:
    """The result of a sweep: its name; the folder with `trials.csv` and `sweep.html`; its trials, best first; the
    importance of each setting in shares of 1; and the command that trains the best trial's settings at full length."""

    name: str
    folder: Path
    trials: tuple[SweepTrial, ...]
    importances: Mapping[str, float]
    command: str

    @property
    def best(self) -> SweepTrial | None:
        """The trial with the lowest validation loss; None if none was finished."""
        return self.trials[0] if self.trials and self.trials[0].state == "complete" else None

    def __repr__(self) -> str:
        states = [trial.state for trial in self.trials]
        others = "".join(
            f", {states.count(state)} {state}" for state in ("pruned", "failed") if state in states
        )
        best = f": best {self.best.val_loss:.4f} nats with {dict(self.best.settings)}" if self.best else ""
        return f"<Swept {shortened(self.name, 120)}, {len(states)} trials{others}{best}>"

    def _repr_html_(self) -> str:
        """The trials, for notebooks."""
        keys = list(dict.fromkeys(key for trial in self.trials for key in trial.settings))
        rows = [trial_cells(trial, keys) for trial in self.trials]
        return f"<p><b>{escaped(self.name)}</b></p>{table(trial_head(keys), rows)}"


def _shown(row: Mapping[str, Any]) -> str:
    bits = row.get("bits")
    score = "failed" if bits is None else f"{bits:.4f} bits per character"
    return f"{shortened(str(row['title']), 60)} {score}"


def _columns(rows: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Headers and cells as the command prints them, without empty columns."""
    lines = [cells_of(LeaderboardEntry(**row)) for row in rows]
    kept = [place for place in range(len(HEAD)) if not lines or any(line[place] for line in lines)]
    return [HEAD[place] for place in kept], [list(_chosen(line, kept)) for line in lines]


def _chosen(line: tuple[str, ...], kept: list[int]) -> Iterator[str]:
    return (line[place] for place in kept)
