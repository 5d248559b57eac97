"""Retraining as a Prefect flow: a night's work, which ends as Skipped where there was nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from prefect import flow
from prefect.events import emit_event
from prefect.states import Cancelled, Completed

from charpipe.errors import InterruptedRun
from charpipe_pipelines import job
from charpipe_pipelines.cold import opened
from charpipe_pipelines.options import RetrainOptions
from charpipe_pipelines.tasks import as_task


@flow(name="retrain", validate_parameters=False, persist_result=False)
def retrain(options: dict[str, Any], settings: dict[str, Any], workspace: str | None = None) -> Any:
    """Refresh a corpus, train a challenger from its champion, and promote the better one."""
    with opened("retrain", settings, workspace) as now:
        try:
            now.result = job.retrain(as_task, RetrainOptions(**options))
        except InterruptedRun as error:
            now.error = error
            return Cancelled(message=str(error))
        finally:
            if now.api.is_there():  # the flow's end is told to it, too
                now.page.finish(now.result)
        if now.result.get("skipped"):
            return Completed(name="Skipped", message=now.result["reason"], data=now.result)
        _tell(now.result)
        return now.result


def _tell(result: Mapping[str, Any]) -> None:
    """An event for Prefect's automations: `charpipe.model.promoted` or `charpipe.model.kept`."""
    payload = {key: result.get(key) for key in ("run", "corpus", "champion", "version", "reason", "promoted")}
    verdict = "promoted" if result["promoted"] else "kept"
    with suppress(Exception):  # a courtesy: what was decided stands without it
        emit_event(
            event=f"charpipe.model.{verdict}",
            resource={"prefect.resource.id": f"charpipe.model.{result['corpus']}"},
            payload=payload | {"metrics": dict(result["metrics"])},
        )
