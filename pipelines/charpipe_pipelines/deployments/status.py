"""The status of a deployment: whether it is scheduled, when it runs next, how its last run ended."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from charpipe_pipelines.deployments.catalogue import Deployment
from charpipe_pipelines.deployments.registration import find

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def status_of(client: SyncPrefectClient | None, deployment: Deployment) -> dict[str, Any]:
    """One deployment as a JSON object; without a client, from the project file alone."""
    config = deployment.config
    row: dict[str, Any] = {
        "deployment": deployment.name,
        "pipeline": deployment.pipeline.name,
        "subject": deployment.subject,
        "schedule": str(config.schedule) if config.schedule else "by hand",
        "settings": dict(deployment.settings),
        "state": "paused" if config.paused else "not registered",
        "next": None,
        "last": None,
    }
    found = find(client, deployment) if client is not None else None
    if client is None or found is None:
        return row
    last = _last(client, found.id)
    next_ = None if found.paused else _next(client, found.id)  # a run of the schedule may be left over
    return row | {
        "state": "paused" if found.paused else "active",
        "next": _moment(next_),
        "last": last and f"{last.state_name} {_moment(last.start_time) or ''}".strip(),
        "last_run": last and {"flow_run": last.name, "id": str(last.id), "state": last.state_name},
        "work_pool": found.work_pool_name,
    }


def _last(client: SyncPrefectClient, deployment: Any) -> Any:
    from prefect.client.schemas.sorting import FlowRunSort

    ran = _where(deployment, {"not_any_": ["SCHEDULED"]})
    found = client.read_flow_runs(flow_run_filter=ran, sort=FlowRunSort.START_TIME_DESC, limit=1)
    return found[0] if found else None


def _next(client: SyncPrefectClient, deployment: Any) -> datetime | None:
    from prefect.client.schemas.sorting import FlowRunSort

    waiting = _where(deployment, {"any_": ["SCHEDULED"]})
    found = client.read_flow_runs(
        flow_run_filter=waiting, sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC, limit=1
    )
    return found[0].next_scheduled_start_time if found else None


def _where(deployment: Any, types: dict[str, list[str]]) -> Any:
    from prefect.client.schemas.filters import FlowRunFilter

    return FlowRunFilter.model_validate({"deployment_id": {"any_": [deployment]}, "state": {"type": types}})


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"
