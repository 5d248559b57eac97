"""The table of a reproduction: the scaled-down results of this machine next to the published ones, in separate
columns."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charpipe_2015.experiments import COUNTED, Experiment
from charpipe_2015.published import BEST, published

QUANTITIES: Mapping[str, str] = {
    "val/loss": "val nats/token",
    "test/loss": "test nats/token",
    "sample/novel_share": "share of new lines",
}


@dataclass(frozen=True)
class Result:
    """One quantity of one model: `here` was measured on this machine in `scaled_to`, `published` in 2015 with the
    full training time. `reason` says why there is no result here, `notes` belong to the model, `caveat` to its text."""

    source: str
    text: str
    corpus: str
    model: str
    quantity: str
    here: float | None = None
    scaled_to: str = ""
    published: float | None = None
    published_in: str = ""
    parameters: int | None = None
    steps: int | None = None
    seconds: float | None = None
    run: str = ""
    reason: str = ""
    failed: bool = False
    notes: str = ""
    caveat: str = ""


def result(experiment: Experiment, model: str, quantity: str, **found: Any) -> Result:
    """A result with the published figure; `model` is named as in 2015."""
    one = Result(
        experiment.source, experiment.text, experiment.corpus, model, quantity, caveat=experiment.notes
    )
    figure = published(one.source, one.corpus, model, quantity)
    if figure is not None:
        found |= {"published": figure.value, "published_in": figure.source}
    return dataclasses.replace(one, **found)


def with_best(experiment: Experiment, results: Sequence[Result]) -> list[Result]:
    """The results of an experiment; for a grid, followed by its best result, which is the published one."""
    if len(experiment.trials) == 1:
        return list(results)
    quantity = experiment.quantities[0]
    learnt = [one for one in results if one.here is not None and not one.model.startswith(COUNTED)]
    best = min(learnt, key=lambda one: one.here or 0.0, default=None)
    if best is None:
        return [*results, result(experiment, BEST, quantity, reason="nothing of the grid is trained")]
    same = ("here", "scaled_to", "parameters", "steps", "seconds", "run", "caveat")
    found = {name: getattr(best, name) for name in same}
    return [*results, result(experiment, BEST, quantity, notes=best.model, **found)]


def head(scaled_to: str) -> tuple[str, ...]:
    """The columns of the table; `scaled_to` is the time budget of the whole reproduction."""
    return ("text", "model", "parameters", "quantity", f"here, scaled to {scaled_to}", "published", "notes")


def cells_of(one: Result) -> tuple[str, ...]:
    """A row of the table; unknown values are blank."""
    return (
        f"{one.source}: {one.text}",
        one.model,
        "" if one.parameters is None else f"{one.parameters:,}",
        QUANTITIES.get(one.quantity, one.quantity),
        "" if one.here is None else f"{one.here:.4f}",
        "" if one.published is None else f"{one.published:g}",
        one.reason or one.notes,
    )


def caveats(results: Iterable[Result]) -> list[str]:
    """The caveats of the texts on which something was trained, without duplicates."""
    known = (one for one in results if one.caveat and one.here is not None)
    return list(dict.fromkeys(f"{one.source}: {one.text}: {one.caveat}" for one in known))


def write(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Write `reproduction.csv` and `reproduction.json` into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    table, values = folder / "reproduction.csv", folder / "reproduction.json"
    rows = [dataclasses.asdict(one) for one in results]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Result)])
        writer.writeheader()
        writer.writerows(rows)
    values.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return [table, values]
