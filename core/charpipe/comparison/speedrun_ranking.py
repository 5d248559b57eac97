"""The result of a speedrun: its configurations by their validation loss, and how sure the order is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

from charpipe.comparison.leaderboard import Row


@dataclass(frozen=True)
class SpeedrunEntry:
    """A configuration over its seeds: means and sample standard deviations of the loss of the validation text, in nats
    per token and in bits per character. `p`: the p-value of its difference from the best one. `run`: the one with the
    lowest loss."""

    title: str
    seeds: int
    val_loss: float | None = None
    val_loss_deviation: float | None = None
    val_bits: float | None = None
    val_bits_deviation: float | None = None
    p: float | None = None
    parameters: int | None = None
    steps: float | None = None
    seconds: float | None = None
    failed: int = 0
    error: str = ""
    worse_than_guessing: int = 0
    run: str = ""


def ranking(rows: Iterable[Row]) -> list[SpeedrunEntry]:
    """The configurations, lowest mean validation loss first; those of which all trainings failed are last."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.title, []).append(row)
    entries = [_entry(title, group) for title, group in groups.items()]
    entries.sort(key=lambda one: (one.val_loss is None, one.val_loss or 0.0))
    losses = {title: _known(row.val_loss for row in group) for title, group in groups.items()}
    best = losses[entries[0].title] if entries else []
    return [*entries[:1], *(replace(one, p=welch(best, losses[one.title])) for one in entries[1:])]


def welch(one: Sequence[float], other: Sequence[float]) -> float | None:
    """The two-sided p-value of Welch's t-test; None with fewer than two values on a side, or without any spread."""
    if min(len(one), len(other)) < 2 or len(set(one)) == len(set(other)) == 1:
        return None
    from scipy.stats import ttest_ind_from_stats

    figures = [figure for values in (one, other) for figure in (mean(values), stdev(values), len(values))]
    return float(ttest_ind_from_stats(*figures, equal_var=False).pvalue)


def _entry(title: str, group: Sequence[Row]) -> SpeedrunEntry:
    done = [row for row in group if not row.error]
    losses, bits = _known(row.val_loss for row in done), _known(row.val_bits for row in done)
    return SpeedrunEntry(
        title,
        seeds=len(done),
        val_loss=_mean(losses),
        val_loss_deviation=_deviation(losses),
        val_bits=_mean(bits),
        val_bits_deviation=_deviation(bits),
        parameters=next((row.parameters for row in done if row.parameters is not None), None),
        steps=_mean(_known(row.steps for row in done)),
        seconds=_mean(_known(row.seconds for row in done)),
        failed=len(group) - len(done),
        error="; ".join(sorted({row.error for row in group if row.error})),
        worse_than_guessing=sum(row.worse_than_guessing for row in done),
        run=min(done, key=lambda row: row.val_loss or 0.0).run if done else "",
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return mean(values) if values else None


def _deviation(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None
