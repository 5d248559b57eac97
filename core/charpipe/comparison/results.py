"""The last stage of a comparison: write the leaderboard to the workspace and MLflow, and report it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charpipe.comparison.leaderboard import (
    HEAD,
    LeaderboardEntry,
    Row,
    baseline_rows,
    cells_of,
    leaderboard,
    write_csv,
)
from charpipe.comparison.publication import Curve, comparison_folder, publish_board, validation_curve
from charpipe.comparison.trials import Comparison
from charpipe.errors import Incomplete
from charpipe.plugin import PipelineResult
from charpipe.runs import Run
from charpipe.stages import Context, WouldRun, stage
from charpipe.stages.baselines import recorded_baselines
from charpipe.tracking.comparisons import Board

BOARD, ROWS = "leaderboard.csv", "runs.csv"


@dataclass(frozen=True)
class ComparisonResult(PipelineResult):
    """The result of a comparison: its name; the folder with `leaderboard.csv` and `runs.csv` (None in a dry run); a
    entry per configuration, best first; a row per training."""

    comparison: str
    corpus: str
    folder: Path | None = None
    leaderboard: tuple[LeaderboardEntry, ...] = ()
    rows: tuple[Row, ...] = ()

    def to_json(self) -> dict[str, Any]:
        if self.folder is None:
            return {"comparison": self.comparison, "corpus": self.corpus}
        found = asdict(self)
        lists = {key: list(found[key]) for key in ("leaderboard", "rows")}
        return {**found, "folder": str(self.folder), **lists}


@stage("leaderboard", "Rank the configurations.")
def conclude(context: Context, comparison: Comparison, rows: Sequence[Row]) -> ComparisonResult:
    """Rank the configurations and write the results.

    Raises Incomplete, which carries the result, if a training failed; WouldRun in a dry run with work to do.
    """
    waiting = [row for row in rows if not row.run and not row.error]
    if waiting:
        raise WouldRun(f"{len(waiting)} of {len(rows)} trainings would run, and the others are done")
    if context.dry_run:
        return ComparisonResult(comparison.name, comparison.corpus)
    rows = [*rows, *_baselines(context, rows)]
    entries = leaderboard(rows)
    folder = _write(context, comparison, entries, rows)
    publish_board(context, "comparison", lambda: _board(context, comparison, entries, rows, folder))
    trained = tuple(row for row in rows if not row.baseline)
    result = ComparisonResult(comparison.name, comparison.corpus, folder, tuple(entries), trained)
    failed = sum(bool(row.error) for row in rows)
    if failed:
        of = len(comparison.trials)
        raise Incomplete(
            f"{failed} of {of} trainings failed, and the leaderboard says why; the others are kept: "
            f"the same command again tries {'it' if failed == 1 else 'those'} again",
            result,
        )
    return result


def _baselines(context: Context, rows: Sequence[Row]) -> list[Row]:
    """The compressors' baselines for the same text, as recorded with the scores of a training."""
    scored = next((row for row in rows if row.run and not row.error), None)
    if scored is None:
        return []
    return baseline_rows(recorded_baselines(Run(context.workspace.runs / scored.run).status.metrics))


def _write(
    context: Context, comparison: Comparison, entries: Sequence[LeaderboardEntry], rows: Sequence[Row]
) -> Path:
    folder = comparison_folder(context, comparison.name)
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / BOARD, entries, LeaderboardEntry)
    write_csv(folder / ROWS, rows, Row)
    return folder


def _board(
    context: Context,
    comparison: Comparison,
    entries: Sequence[LeaderboardEntry],
    rows: Sequence[Row],
    folder: Path,
) -> Board:
    done = [row for row in rows if row.run and not row.error]
    runs = {row.run: Run(context.workspace.runs / row.run) for row in done}
    curves: dict[str, list[Curve]] = {one.title: [] for one in entries if not one.baseline}
    for row in done:
        curves[row.title].append(validation_curve(runs[row.run]))
    return Board(
        comparison.name,
        f"compared: {comparison.title} · {comparison.name.rpartition('-')[2]}",
        comparison.corpus,
        context.config.tracking.experiment,
        {"corpus": comparison.corpus, "compared": comparison.title, "match": comparison.match},
        HEAD,
        [cells_of(one) for one in entries],
        list(runs.values()),
        curves,
        (folder / BOARD, folder / ROWS),
        frozenset(row.run for row in done if sum(other.title == row.title for other in rows) > 1),
        complete=not any(row.error for row in rows),
    )
