"""What a comparison found: one row a training, one standing a configuration, best first; as text and as CSV."""

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
    """One training: losses in nats per token and bits per character of whole splits, `speed` in characters a second of
    training, `seconds` of training; `error` says why there are none. A `baseline` was not trained at all."""

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
        """Bits per character of that split."""
        return self.test_bits if split == "test" else self.val_bits


@dataclass(frozen=True)
class Standing:
    """A configuration over its seeds: means; of the bits per character of `split`, by which it is ranked, also the
    sample standard deviation, the smallest and the largest."""

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
    """How many of its trainings are."""


def leaderboard(rows: Iterable[Row]) -> list[Standing]:
    """The configurations, fewest bits per character of the test text first (of the validation text, where not all have
    a score on test), those that all failed last."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.title, []).append(row)
    done = [row for group in groups.values() for row in group if not row.error]
    split = "test" if all(row.test_bits is not None for row in done) else "val"
    standings = [_standing(title, group, split) for title, group in groups.items()]
    return sorted(standings, key=lambda one: (one.bits is None, one.bits or 0.0))


def baseline_rows(metrics: Mapping[str, float]) -> list[Row]:
    """Rows of `{"test/xz_bits_per_char": 2.49, "test/xz_after_training_bits_per_char": 2.14, ...}`."""
    rows = []
    for metric, bits in metrics.items():
        split, _, name = metric.partition("/")
        title = name.removesuffix("_bits_per_char").replace("_", " ")
        row = Row(title, None, baseline=True)
        rows.append(replace(row, test_bits=bits) if split == "test" else replace(row, val_bits=bits))
    return rows


def table(standings: Sequence[Standing]) -> str:
    """The leaderboard as aligned text."""
    lines = [HEAD, *(cells_of(one) for one in standings)]
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
"""The columns of what `cells_of` returns."""


def cells_of(one: Standing) -> tuple[str, ...]:
    """A standing as people read it, a text a column; a standard deviation only where there are several seeds."""

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
    path: Path, values: Sequence[Row] | Sequence[Standing], kind: type[Row] | type[Standing]
) -> None:
    """Write the values with a header of their fields' names; what is unknown is empty."""
    names = [field.name for field in dataclasses.fields(kind)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(dataclasses.asdict(value) for value in values)


def _standing(title: str, group: list[Row], split: str) -> Standing:
    done = [row for row in group if not row.error]
    bits = [found for row in done if (found := row.bits(split)) is not None]
    return Standing(
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
