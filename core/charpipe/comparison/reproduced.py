"""The last stage of a reproduction: write its table, publish it to MLflow and report it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from charpipe.comparison.reproducing import Reproduction, experiment_of
from charpipe.comparison.reproduction import Result, cells_of, head, write
from charpipe.comparison.results import AGAIN, FOLDER
from charpipe.errors import CharpipeError, Incomplete
from charpipe.plugin import PipelineResult
from charpipe.reports.history import Point, read_history
from charpipe.runs import Run
from charpipe.stages import Context, stage
from charpipe.tracking import locate
from charpipe.tracking.comparisons import Board, publish


@dataclass(frozen=True)
class ReproductionResult(PipelineResult):
    """The table of a reproduction, and the folder that contains it ("" in a dry run)."""

    reproduction: str
    scaled_to: str
    folder: str
    results: tuple[Result, ...]

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        return {**found, "results": list(found["results"])}


@stage("tabulate", "Put what was found beside what was published.")
def tabulate(context: Context, reproduction: Reproduction, results: Sequence[Result]) -> ReproductionResult:
    """Write and return the table.

    Raises Incomplete, which carries the table, if a text could not be read, a training failed, or nothing was
    trained.
    """
    found = ReproductionResult(reproduction.name, reproduction.scaled_to, "", tuple(results))
    if context.dry_run:
        return found
    folder = context.workspace.root / FOLDER / reproduction.name
    _publish(context, reproduction, results, write(folder, results))
    found = replace(found, folder=str(folder))
    failed = len({(one.corpus, one.model) for one in results if one.failed})
    if failed or all(one.here is None for one in results):
        what = f"{failed} row{'' if failed == 1 else 's'} failed" if failed else "nothing was trained"
        raise Incomplete(
            f"{what}, and the table says why; what was trained is kept: the same command again tries the rest",
            found,
        )
    return found


def _publish(
    context: Context, reproduction: Reproduction, results: Sequence[Result], files: Sequence[Path]
) -> None:
    """Publish the reproduction to MLflow. Errors are reported but do not fail the reproduction."""
    if not context.config.tracking.enabled:
        return
    if context.publishing.is_lost:  # the reason was reported already
        context.notice(f"the table is not in MLflow; {AGAIN}")
        return
    try:
        location = locate(context.config.tracking, context.workspace.mlflow)
        publish(location, _board(context, reproduction, results, files))
    except CharpipeError as error:
        context.notice(f"{error}; {AGAIN}", level="warning")


def _board(
    context: Context, reproduction: Reproduction, results: Sequence[Result], files: Sequence[Path]
) -> Board:
    names = dict.fromkeys(one.run for one in results if one.run and not one.failed)
    runs = {name: Run(context.workspace.runs / name) for name in names}
    return Board(
        reproduction.name,
        f"2015, scaled to {reproduction.scaled_to} · {reproduction.name.rpartition('-')[2]}",
        reproduction.name,
        experiment_of(context),
        {"scaled_to": reproduction.scaled_to},
        head(reproduction.scaled_to),
        [cells_of(one) for one in results],
        list(runs.values()),
        _curves(runs, results),
        tuple(files),
        complete=not any(one.failed for one in results),
    )


def _curves(runs: dict[str, Run], results: Sequence[Result]) -> dict[str, list[list[Point]]]:
    """The curves of the text on which most models were trained: curves of different texts are not comparable."""
    by_corpus: dict[str, dict[str, Run]] = {}
    for one in results:
        if one.run in runs:
            by_corpus.setdefault(one.corpus, {})[one.run] = runs[one.run]
    most = max(by_corpus.values(), key=len, default={})
    models = {
        one.run: one.model for one in reversed(results)
    }  # the row of the best comes last and does not overwrite
    return {models[name]: [read_history(run).curve("val/bits_per_char")] for name, run in most.items()}
