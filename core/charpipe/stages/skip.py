"""The stage `skip`: the end of a retraining that has nothing to do."""

from __future__ import annotations

from dataclasses import dataclass

from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput
from charpipe.stages.promote import publish_champions
from charpipe.stages.refresh import Retraining
from charpipe.stages.stage import stage


@dataclass(frozen=True)
class Unchanged:
    """Why nothing was trained, and which run remains champion."""

    corpus: str
    reason: str
    champion: str | None


@stage("skip", "Report that the content is unchanged.")
def skip(context: Context, retraining: Retraining, documents: StageOutput) -> Unchanged:
    """Report that there is nothing to do, after updating MLflow's registry."""
    corpus, champion = retraining.corpus, retraining.champion
    publish_champions(context, corpus)
    reason = f"the content of {corpus} is unchanged since it was last decided; {champion} stays champion"
    context.notice(f"skipped: {reason}")
    return Unchanged(corpus, reason, champion)
