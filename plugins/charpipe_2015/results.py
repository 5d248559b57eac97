"""The last stage of a reproduction: write its table, publish it to MLflow and return it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from charpipe.comparison import Board, Curve, comparison_folder, publish_board, validation_curve
from charpipe.errors import Incomplete
from charpipe.plugin import PipelineResult
from charpipe.runs import Run
from charpipe.stages import Context, stage
from charpipe_2015.plan import Reproduction, mlflow_experiment
from charpipe_2015.table import Result, cells_of, head, write


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
    folder = comparison_folder(context, reproduction.name)
    files = write(folder, results)
    publish_board(context, "table", lambda: _board(context, reproduction, results, files))
    found = replace(found, folder=str(folder))
    failed = len({(one.corpus, one.model) for one in results if one.failed})
    if failed or all(one.here is None for one in results):
        what = f"{failed} row{'' if failed == 1 else 's'} failed" if failed else "nothing was trained"
        raise Incomplete(
            f"{what}, and the table says why; what was trained is kept: the same command again tries the rest",
            found,
        )
    return found


def _board(
    context: Context, reproduction: Reproduction, results: Sequence[Result], files: Sequence[Path]
) -> Board:
    names = dict.fromkeys(one.run for one in results if one.run and not one.failed)
    runs = {name: Run(context.workspace.runs / name) for name in names}
    return Board(
        reproduction.name,
        f"2015, scaled to {reproduction.scaled_to} · {reproduction.name.rpartition('-')[2]}",
        reproduction.name,
        mlflow_experiment(context),
        {"scaled_to": reproduction.scaled_to},
        head(reproduction.scaled_to),
        [cells_of(one) for one in results],
        list(runs.values()),
        _curves(runs, results),
        tuple(files),
        complete=not any(one.failed for one in results),
    )


def _curves(runs: Mapping[str, Run], results: Sequence[Result]) -> dict[str, list[Curve]]:
    """The curves of the text on which most models were trained: curves of different texts are not comparable."""
    by_corpus: dict[str, dict[str, Run]] = {}
    for one in results:
        if one.run in runs:
            by_corpus.setdefault(one.corpus, {})[one.run] = runs[one.run]
    most = max(by_corpus.values(), key=len, default={})
    models = {
        one.run: one.model for one in reversed(results)
    }  # the row of the best comes last and does not overwrite
    return {models[name]: [validation_curve(run)] for name, run in most.items()}
