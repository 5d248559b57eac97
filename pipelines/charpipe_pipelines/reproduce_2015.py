"""The experiments of 2015 as a Prefect flow: one task a text, and one a model."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Cancelled

from charpipe.errors import InterruptedRun
from charpipe_pipelines import job
from charpipe_pipelines.cold import opened
from charpipe_pipelines.options import ReproduceOptions
from charpipe_pipelines.tasks import as_task


@flow(name="reproduce-2015", validate_parameters=False, persist_result=False)
def reproduce_2015(options: dict[str, Any], settings: dict[str, Any], workspace: str | None = None) -> Any:
    """Train the models of the blog and the paper of 2015, scaled to a budget."""
    with opened("reproduce-2015", settings, workspace) as now:
        try:
            now.result = job.reproduce_2015(as_task, ReproduceOptions(**options))
        except InterruptedRun as error:
            now.error = error
            return Cancelled(message=str(error))
        finally:
            if now.api.is_there():  # the flow's end is told to it, too
                now.page.finish(now.result)
        return now.result
