"""The stage `report`: records the end of a retraining."""

from __future__ import annotations

import time
from dataclasses import dataclass

from charpipe.runs import Run
from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput
from charpipe.stages.promote import Promotion
from charpipe.stages.refresh import Retraining
from charpipe.stages.retraining_record import whole, write_record
from charpipe.stages.stage import stage
from charpipe.stages.train import TrainedRun


@dataclass(frozen=True)
class RetrainingVerdict:
    """The result of a retraining: whether its run was promoted, and why; the champion now and its version; the run
    that training started from, and whether an interrupted run was resumed."""

    promoted: bool
    reason: str
    champion: str | None
    version: int | None
    started_from: str | None
    resumed: bool


@stage("report", "Record and report the decision.")
def report(
    context: Context, retraining: Retraining, documents: StageOutput, trained: TrainedRun, decided: Promotion
) -> RetrainingVerdict:
    """Record the retraining, and report the decision."""
    run = Run(context.workspace.root / trained.path)
    offset = whole((run.info.facts.get("start") or {}).get("offset"))
    record = {
        "corpus": retraining.corpus,
        "documents": documents.digest,
        "settings": retraining.settings,
        "cursor": max(retraining.cursor, offset + trained.steps),
        "run": trained.run,
        "promoted": decided.promoted,
        "reason": decided.reason,
        "champion": decided.champion,
        "time": round(time.time(), 3),
    }
    write_record(context, retraining.corpus, record)
    verdict = (
        f"{trained.run} is the champion now" if decided.promoted else f"{decided.champion} stays champion"
    )
    context.notice(f"{retraining.corpus}: {verdict}: {decided.reason}")
    return RetrainingVerdict(
        decided.promoted,
        decided.reason,
        decided.champion,
        decided.version,
        run.info.parent,
        retraining.resume is not None,
    )
