"""The end of a reproduction: its table is written, given to MLflow, and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charpipe.comparison.concluding import AGAIN, FOLDER
from charpipe.comparison.reproducing import Reproduction, experiment_of
from charpipe.comparison.reproduction import Result, cells_of, head, write
from charpipe.errors import CharpipeError, Incomplete
from charpipe.reporting.history import Point, read_history
from charpipe.runs import Run
from charpipe.stages import Session

if TYPE_CHECKING:
    from charpipe.tracking.comparisons import Board


def tabulate(session: Session, reproduction: Reproduction, results: Sequence[Result]) -> dict[str, Any]:
    """Write and return the table: `{"reproduction", "scaled_to", "folder", "results": [...]}`.

    Raises Incomplete, which carries the same, where a text could not be read, a training failed, or nothing was
    trained at all.
    """
    found: dict[str, Any] = {
        "reproduction": reproduction.name,
        "scaled_to": reproduction.scaled_to,
        "folder": "",
        "results": [asdict(one) for one in results],
    }
    if session.dry_run:
        return found
    folder = session.workspace.root / FOLDER / reproduction.name
    _publish(session, reproduction, results, write(folder, results))
    found["folder"] = str(folder)
    failed = len({(one.corpus, one.model) for one in results if one.failed})
    if failed or all(one.here is None for one in results):
        what = f"{failed} row{'' if failed == 1 else 's'} failed" if failed else "nothing was trained"
        raise Incomplete(
            f"{what}, and the table says why; what was trained is kept: the same command again tries the rest",
            found,
        )
    return found


def _publish(
    session: Session, reproduction: Reproduction, results: Sequence[Result], files: Sequence[Path]
) -> None:
    """Bring MLflow up to the reproduction. Its troubles are told, and decide nothing."""
    if not session.config.tracking.enabled:
        return
    if session.untracked:  # why was told already
        session.notice(f"the table is not in MLflow; {AGAIN}")
        return
    from charpipe.tracking import locate
    from charpipe.tracking.comparisons import publish

    try:
        location = locate(session.config.tracking, session.workspace.mlflow)
        publish(location, _board(session, reproduction, results, files))
    except CharpipeError as error:
        session.notice(f"{error}; {AGAIN}", level="warning")


def _board(
    session: Session, reproduction: Reproduction, results: Sequence[Result], files: Sequence[Path]
) -> Board:
    from charpipe.tracking.comparisons import Board

    names = dict.fromkeys(one.run for one in results if one.run and not one.failed)
    runs = {name: Run(session.workspace.runs / name) for name in names}
    return Board(
        reproduction.name,
        f"2015, scaled to {reproduction.scaled_to} · {reproduction.name.rpartition('-')[2]}",
        reproduction.name,
        experiment_of(session),
        {"scaled_to": reproduction.scaled_to},
        head(reproduction.scaled_to),
        [cells_of(one) for one in results],
        list(runs.values()),
        _curves(runs, results),
        tuple(files),
        complete=not any(one.failed for one in results),
    )


def _curves(runs: dict[str, Run], results: Sequence[Result]) -> dict[str, list[list[Point]]]:
    """Those of the text that most models were trained on: of other texts they do not compare."""
    by_corpus: dict[str, dict[str, Run]] = {}
    for one in results:
        if one.run in runs:
            by_corpus.setdefault(one.corpus, {})[one.run] = runs[one.run]
    most = max(by_corpus.values(), key=len, default={})
    models = {
        one.run: one.model for one in reversed(results)
    }  # the row of the best comes last, and gives way
    return {models[name]: [read_history(run).curve("val/bits_per_char")] for name, run in most.items()}
