"""The last stage of a speedrun: rank its configurations, and add it to the workspace's history."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from charpipe.comparison.leaderboard import Row
from charpipe.comparison.speedrun_history import earlier, machine, record
from charpipe.comparison.speedrun_ranking import SpeedrunEntry, ranking
from charpipe.comparison.trials import Comparison
from charpipe.config import parse_budget
from charpipe.errors import Incomplete
from charpipe.plugin import PipelineResult
from charpipe.runs import Run
from charpipe.stages import Context, StageOutput, WouldRun, stage


@dataclass(frozen=True)
class SpeedrunResult(PipelineResult):
    """The result of a speedrun: `budget` in seconds; `machine` is its processor, cores and device; `charpipe` and
    `torch` are the versions that trained; `entries`, lowest validation loss first; `earlier` are the best ones of
    earlier speedruns of the same text, machine and budget."""

    corpus: str
    budget: float
    machine: Mapping[str, Any]
    charpipe: str = ""
    torch: str = ""
    seeds: Sequence[int] = ()
    entries: Sequence[SpeedrunEntry] = ()
    runs: Sequence[str] = ()
    earlier: Sequence[Mapping[str, Any]] = ()


@stage("rank", "Rank the configurations, and add them to the history.")
def conclude_speedrun(
    context: Context, comparison: Comparison, rows: Sequence[Row], tokens: StageOutput
) -> SpeedrunResult:
    """Rank the configurations, and add them to the history unless a training failed.

    Raises Incomplete, which carries the result, if a training failed; WouldRun in a dry run with work to do.
    """
    waiting = [row for row in rows if not row.run and not row.error]
    if waiting:
        raise WouldRun(f"{len(waiting)} of {len(rows)} trainings would run, and the others are done")
    rows = [_checked(row) for row in rows]
    settings = context.config.train
    facts: dict[str, Any] = {
        "corpus": comparison.corpus,
        "budget": parse_budget(settings.budget),
        "machine": machine(settings.device),
        **_versions(context, rows),
        "seeds": sorted({row.seed for row in rows if row.seed is not None}),
        "runs": [row.run for row in rows if not row.error],
    }
    entries = ranking(rows)
    line = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "tokens": tokens.digest, **facts}
    line["entries"] = [asdict(entry) for entry in entries]
    result = SpeedrunResult(**facts, entries=entries, earlier=earlier(context.workspace, line))
    failed = sum(bool(row.error) for row in rows)
    if failed:
        raise Incomplete(
            f"{failed} of {len(rows)} trainings failed, and the table says why; the others are kept, and the history "
            f"is unchanged: the same command again tries {'it' if failed == 1 else 'those'} again",
            result,
        )
    if not context.dry_run:
        record(context.workspace, line)
    return result


def _checked(row: Row) -> Row:
    """The row; as one that failed if it has no loss to rank it by."""
    if row.error or (row.val_loss is not None and math.isfinite(row.val_loss)):
        return row
    return replace(row, error="it has no finite validation loss")


def _versions(context: Context, rows: Sequence[Row]) -> dict[str, str]:
    """The versions of charpipe and torch that trained these rows: a training may be of an earlier command."""
    infos = [Run(context.workspace.runs / row.run).info for row in rows if not row.error]
    return {
        name: ", ".join(sorted({info.versions.get(name, "") for info in infos}))
        for name in ("charpipe", "torch")
    }
