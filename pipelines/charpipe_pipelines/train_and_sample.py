"""The main job as a Prefect flow: one coarse task a stage."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Cancelled

from charpipe.errors import InterruptedRun
from charpipe_pipelines import job
from charpipe_pipelines.cold import opened
from charpipe_pipelines.options import TrainAndSampleOptions
from charpipe_pipelines.tasks import as_task


@flow(name="train-and-sample", validate_parameters=False, persist_result=False)
def train_and_sample(options: dict[str, Any], settings: dict[str, Any], workspace: str | None = None) -> Any:
    """Train a character-level language model on a corpus and let it write."""
    with opened("train-and-sample", settings, workspace) as now:
        try:
            now.result = job.train_and_sample(as_task, TrainAndSampleOptions(**options))
        except InterruptedRun as error:
            now.error = error
            return Cancelled(message=str(error))
        finally:
            if now.api.is_there():  # the flow's end is told to it, too
                now.page.finish(now.result)
        return now.result
