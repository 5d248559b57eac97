"""A comparison as a Prefect flow: one task a configuration."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.states import Cancelled

from charpipe.errors import InterruptedRun
from charpipe_pipelines import job
from charpipe_pipelines.cold import opened
from charpipe_pipelines.options import CompareOptions
from charpipe_pipelines.tasks import as_task


@flow(name="compare-architectures", validate_parameters=False, persist_result=False)
def compare_architectures(
    options: dict[str, Any], settings: dict[str, Any], workspace: str | None = None
) -> Any:
    """Train architectures side by side on one corpus, and rank them."""
    with opened("compare-architectures", settings, workspace) as now:
        try:
            now.result = job.compare_architectures(as_task, CompareOptions(**options))
        except InterruptedRun as error:
            now.error = error
            return Cancelled(message=str(error))
        finally:
            if now.api.is_there():  # the flow's end is told to it, too
                now.page.finish(now.result)
        return now.result
