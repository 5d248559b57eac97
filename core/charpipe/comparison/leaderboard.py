"""What a comparison found: one row a training, one standing a configuration, best first; as text and as CSV."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev


@dataclass(frozen=True)
class Row:
    """One training: `loss` in nats per token and `bits` per character of the validation split, `speed` in characters
    a second of training, `seconds` of training; `error` says why there are none."""

    title: str
    seed: int
    run: str = ""
    parameters: int | None = None
    loss: float | None = None
    bits: float | None = None
    speed: float | None = None
    seconds: float | None = None
    engine: str = ""
    error: str = ""


@dataclass(frozen=True)
class Standing:
    """A configuration over its seeds: means, and the sample standard deviation, smallest and largest of `bits`."""

    title: str
    seeds: int
    failed: int
    parameters: int | None
    loss: float | None
    bits: float | None
    deviation: float | None
    least: float | None
    most: float | None
    speed: float | None
    seconds: float | None
    engine: str
    error: str


def leaderboard(rows: Iterable[Row]) -> list[Standing]:
    """The configurations, fewest bits per character first, those that all failed last."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.title, []).append(row)
    standings = [_standing(title, group) for title, group in groups.items()]
    return sorted(standings, key=lambda one: (one.bits is None, one.bits or 0.0))


def table(standings: Sequence[Standing]) -> str:
    """The leaderboard as aligned text."""
    head = ("configuration", "parameters", "loss", "bits/char", "spread", "chars/s", "seconds", "engine")
    lines = [head, *(_cells(one) for one in standings)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column in (0, 7) else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
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


def _standing(title: str, group: list[Row]) -> Standing:
    done = [row for row in group if not row.error]
    bits = [row.bits for row in done if row.bits is not None]
    return Standing(
        title=title,
        seeds=len(done),
        failed=len(group) - len(done),
        parameters=next((row.parameters for row in done if row.parameters is not None), None),
        loss=_mean(row.loss for row in done),
        bits=_mean(bits),
        deviation=stdev(bits) if len(bits) > 1 else None,
        least=min(bits, default=None),
        most=max(bits, default=None),
        speed=_mean(row.speed for row in done),
        seconds=_mean(row.seconds for row in done),
        engine=", ".join(sorted({row.engine for row in done if row.engine})),
        error="; ".join(sorted({row.error for row in group if row.error})),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def _cells(one: Standing) -> tuple[str, ...]:
    def shown(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return (
        one.title,
        shown(one.parameters, ","),
        shown(one.loss, ".4f"),
        shown(one.bits, ".4f"),
        shown(one.deviation, ".4f"),
        shown(one.speed, ",.0f"),
        shown(one.seconds, ".1f"),
        f"{one.engine} {f'{one.failed} failed: {one.error}' if one.error else ''}".strip(),
    )
