"""The results of a comparison: one row per training, one entry per configuration, best first; as text and as CSV."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

SPLITS = ("test", "val")


@dataclass(frozen=True)
class Row:
    """One training: losses in nats per token and bits per character of the validation and test text, `speed` in
    training characters per second, `seconds` of training; `error` says why there are none.

    A `baseline` was not trained."""

    title: str
    seed: int | None
    run: str = ""
    parameters: int | None = None
    steps: int | None = None
    val_loss: float | None = None
    test_loss: float | None = None
    val_bits: float | None = None
    test_bits: float | None = None
    speed: float | None = None
    seconds: float | None = None
    engine: str = ""
    error: str = ""
    baseline: bool = False
    worse_than_guessing: bool = False

    def bits(self, split: str) -> float | None:
        """Bits per character of the given split."""
        return self.test_bits if split == "test" else self.val_bits


@dataclass(frozen=True)
class LeaderboardEntry:
    """A configuration over its seeds: means; for the bits per character of `split`, by which it is ranked, also the
    sample standard deviation, the minimum and the maximum."""

    title: str
    parameters: int | None
    val_loss: float | None
    test_loss: float | None
    split: str
    bits: float | None
    deviation: float | None
    least: float | None
    most: float | None
    seeds: int
    failed: int
    steps: float | None
    speed: float | None
    seconds: float | None
    engine: str
    baseline: bool
    error: str
    worse_than_guessing: int = 0
    """The number of its trainings that are worse than guessing."""


def leaderboard(rows: Iterable[Row]) -> list[LeaderboardEntry]:
    """The configurations, ranked by bits per character of the test text (of the validation text if not all have a
    test score); configurations of which all trainings failed are last."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.title, []).append(row)
    done = [row for group in groups.values() for row in group if not row.error]
    split = "test" if all(row.test_bits is not None for row in done) else "val"
    entries = [_entry(title, group, split) for title, group in groups.items()]
    return sorted(entries, key=lambda one: (one.bits is None, one.bits or 0.0))


def baseline_rows(metrics: Mapping[str, float]) -> list[Row]:
    """Baseline rows from `{"test/xz_bits_per_char": 2.49, "test/xz_after_training_bits_per_char": 2.14, ...}`."""
    rows = []
    for metric, bits in metrics.items():
        split, _, name = metric.partition("/")
        title = name.removesuffix("_bits_per_char").replace("_", " ")
        row = Row(title, None, baseline=True)
        rows.append(replace(row, test_bits=bits) if split == "test" else replace(row, val_bits=bits))
    return rows


def table(entries: Sequence[LeaderboardEntry]) -> str:
    """The leaderboard as aligned text."""
    lines = [HEAD, *(cells_of(one) for one in entries)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    last = len(HEAD) - 1
    return "\n".join(
        "  ".join(
            text.ljust(width) if column in (0, last) else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


HEAD = (
    "configuration",
    "parameters",
    "val loss",
    "test loss",
    "bits/char",
    "±",
    "chars/s",
    "seconds",
    "engine",
)
"""The columns of `cells_of`."""


def cells_of(one: LeaderboardEntry) -> tuple[str, ...]:
    """An entry as formatted cells, one per column; with a standard deviation only if there are several seeds."""

    def shown(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    failed = f"{one.failed} failed: {one.error}" if one.error else ""
    worse = f"{one.worse_than_guessing} worse than guessing" if one.worse_than_guessing else ""
    return (
        one.title,
        shown(one.parameters, ","),
        shown(one.val_loss, ".4f"),
        shown(one.test_loss, ".4f"),
        shown(one.bits, ".4f"),
        shown(one.deviation, ".4f"),
        shown(one.speed, ",.0f"),
        shown(one.seconds, ".1f"),
        "compressor" if one.baseline else "  ".join(part for part in (one.engine, worse, failed) if part),
    )


def write_csv(
    path: Path, values: Sequence[Row] | Sequence[LeaderboardEntry], kind: type[Row] | type[LeaderboardEntry]
) -> None:
    """Write the values as CSV with their field names as header; unknown values are empty."""
    names = [field.name for field in dataclasses.fields(kind)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(dataclasses.asdict(value) for value in values)


def _entry(title: str, group: list[Row], split: str) -> LeaderboardEntry:
    done = [row for row in group if not row.error]
    bits = [found for row in done if (found := row.bits(split)) is not None]
    return LeaderboardEntry(
        title=title,
        parameters=next((row.parameters for row in done if row.parameters is not None), None),
        val_loss=_mean(row.val_loss for row in done),
        test_loss=_mean(row.test_loss for row in done),
        split=split,
        bits=_mean(bits),
        deviation=stdev(bits) if len(bits) > 1 else None,
        least=min(bits, default=None),
        most=max(bits, default=None),
        seeds=len({row.seed for row in done if row.seed is not None}),
        failed=len(group) - len(done),
        steps=_mean(row.steps for row in done),
        speed=_mean(row.speed for row in done),
        seconds=_mean(row.seconds for row in done),
        engine=", ".join(sorted({row.engine for row in done if row.engine})),
        baseline=all(row.baseline for row in group),
        error="; ".join(sorted({row.error for row in group if row.error})),
        worse_than_guessing=sum(row.worse_than_guessing for row in done),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None
