"""Retraining as a Prefect flow: a night's work, which ends as Skipped where there was nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from prefect import flow
from prefect.events import emit_event
from prefect.states import Completed

from charpipe_pipelines import job
from charpipe_pipelines.flows import perform
from charpipe_pipelines.options import RetrainOptions


@flow(name="retrain", validate_parameters=False, persist_result=False)
def retrain(options: dict[str, Any], settings: dict[str, Any], workspace: str | None = None) -> Any:
    """Refresh a corpus, train a challenger from its champion, and promote the better one."""
    return perform("retrain", job.retrain, RetrainOptions, options, settings, workspace, _concluded)


def _concluded(result: dict[str, Any]) -> Any:
    if result.get("skipped"):
        return Completed(name="Skipped", message=result["reason"], data=result)
    _tell(result)
    return result


def _tell(result: Mapping[str, Any]) -> None:
    """An event for Prefect's automations: `charpipe.model.promoted` or `charpipe.model.kept`."""
    payload = {key: result.get(key) for key in ("run", "corpus", "champion", "version", "reason", "promoted")}
    verdict = "promoted" if result["promoted"] else "kept"
    payload["metrics"] = dict(result["metrics"])
    resource = {"prefect.resource.id": f"charpipe.model.{result['corpus']}"}
    with suppress(Exception):  # a courtesy: what was decided stands without it
        emit_event(event=f"charpipe.model.{verdict}", resource=resource, payload=payload)
