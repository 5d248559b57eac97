"""The end of a comparison: the leaderboard, written into the workspace and into MLflow, and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charpipe.comparison.cells import Comparison
from charpipe.comparison.leaderboard import (
    HEAD,
    Row,
    Standing,
    baseline_rows,
    cells_of,
    leaderboard,
    write_csv,
)
from charpipe.errors import CharpipeError, Incomplete
from charpipe.reporting.history import Point, read_history
from charpipe.runs import Run
from charpipe.stages import Session
from charpipe.stages.baselines import recorded_baselines
from charpipe.stages.session import WouldRun

AGAIN = "later, the same command again brings it there"
FOLDER, BOARD, ROWS = "comparisons", "leaderboard.csv", "runs.csv"


def conclude(session: Session, comparison: Comparison, rows: Sequence[Row]) -> dict[str, Any]:
    """Rank and write what was trained: `{"comparison", "corpus", "folder", "leaderboard": [...], "rows": [...]}`.

    Raises Incomplete, which carries the same, where a training failed; WouldRun in a dry run with work to do.
    """
    waiting = [row for row in rows if not row.run and not row.error]
    if waiting:
        raise WouldRun(f"{len(waiting)} of {len(rows)} trainings would run, and the others are done")
    if session.dry_run:
        return {"comparison": comparison.name, "corpus": comparison.corpus}
    rows = [*rows, *_baselines(session, rows)]
    standings = leaderboard(rows)
    folder = _write(session, comparison, standings, rows)
    _publish(session, comparison, standings, rows, folder)
    result: dict[str, Any] = {
        "comparison": comparison.name,
        "corpus": comparison.corpus,
        "folder": str(folder),
        "leaderboard": [asdict(one) for one in standings],
        "rows": [asdict(row) for row in rows if not row.baseline],
    }
    failed = sum(bool(row.error) for row in rows)
    if failed:
        of = len(comparison.cells)
        raise Incomplete(
            f"{failed} of {of} trainings failed, and the leaderboard says why; the others are kept: "
            f"the same command again tries {'it' if failed == 1 else 'those'} again",
            result,
        )
    return result


def _baselines(session: Session, rows: Sequence[Row]) -> list[Row]:
    """What compressors need for the same text, as it was found with the scores of a training."""
    scored = next((row for row in rows if row.run and not row.error), None)
    if scored is None:
        return []
    return baseline_rows(recorded_baselines(Run(session.workspace.runs / scored.run).status.metrics))


def _write(
    session: Session, comparison: Comparison, standings: Sequence[Standing], rows: Sequence[Row]
) -> Path:
    folder = session.workspace.root / FOLDER / comparison.name
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / BOARD, standings, Standing)
    write_csv(folder / ROWS, rows, Row)
    return folder


def _publish(
    session: Session, comparison: Comparison, standings: Sequence[Standing], rows: Sequence[Row], folder: Path
) -> None:
    """Bring MLflow up to the comparison. Its troubles are told, and decide nothing."""
    tracking = session.config.tracking
    if not tracking.enabled:
        return
    if session.untracked:  # why was told already
        session.notice(f"the comparison is not in MLflow; {AGAIN}")
        return
    from charpipe.tracking import locate
    from charpipe.tracking.comparisons import Board, publish

    done = [row for row in rows if row.run and not row.error]
    runs = {row.run: Run(session.workspace.runs / row.run) for row in done}
    curves: dict[str, list[list[Point]]] = {one.title: [] for one in standings if not one.baseline}
    for row in done:
        curves[row.title].append(read_history(runs[row.run]).curve("val/bits_per_char"))
    board = Board(
        comparison.name,
        f"compared: {comparison.title} · {comparison.name.rpartition('-')[2]}",
        comparison.corpus,
        tracking.experiment,
        {"corpus": comparison.corpus, "compared": comparison.title, "match": comparison.match},
        HEAD,
        [cells_of(one) for one in standings],
        list(runs.values()),
        curves,
        (folder / BOARD, folder / ROWS),
        frozenset(row.run for row in done if sum(other.title == row.title for other in rows) > 1),
        complete=not any(row.error for row in rows),
    )
    try:
        publish(locate(tracking, session.workspace.mlflow), board)
    except CharpipeError as error:
        session.notice(f"{error}; {AGAIN}", level="warning")
