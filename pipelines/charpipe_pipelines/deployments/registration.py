"""Registers deployments with a Prefect server, for `charpipe serve` or for the workers of a pool."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from charpipe.errors import UsageError
from charpipe.plugins.registry import Registry
from charpipe.reports.markdown import code
from charpipe.store.secrets import without_secret
from charpipe.workspace import Workspace
from charpipe_pipelines import heartbeats
from charpipe_pipelines.deployments.catalogue import Deployment, entrypoint
from charpipe_pipelines.deployments.settings import Schedule

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

TAG = "charpipe"


@contextmanager
def connect(url: str, retries: int = 0) -> Iterator[SyncPrefectClient]:
    """A client of the API at `url`; without retries it fails at once when the server is gone."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    settings = {PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: retries}
    with temporary_settings(settings), get_client(sync_client=True) as client:
        yield client


def prefect_schedule(schedule: Schedule, now: datetime | None = None) -> Any:
    """The same schedule for Prefect, with clock changes from `now` on handled."""
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

    from charpipe_pipelines.deployments.clocks import counted_from, cron_rules, with_gaps

    now = datetime.now(UTC) if now is None else now
    zone = schedule.timezone
    if schedule.cron is not None:
        rules = cron_rules(schedule.cron)
        start = counted_from(rules, now)
        rule, skips = with_gaps(rules, start, zone, start.replace(tzinfo=UTC))
        if skips:
            return RRuleSchedule(rrule=rule, timezone=zone)
        return CronSchedule(cron=schedule.cron, timezone=zone)
    every = schedule.every
    assert every is not None
    if zone == "UTC" or every % timedelta(days=1):
        return IntervalSchedule(interval=every, anchor_date=schedule.start.astimezone(UTC), timezone="UTC")
    start = schedule.start.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    daily = f"RRULE:FREQ=DAILY;INTERVAL={every.days}"
    return RRuleSchedule(
        rrule=with_gaps([daily], start, zone, datetime(now.year - 1, 1, 1, tzinfo=UTC))[0], timezone=zone
    )


def register(client: SyncPrefectClient, deployment: Deployment, workspace: Workspace) -> UUID:
    """Create or update `deployment` on the server, for `charpipe serve`. A deployment paused there stays paused."""
    known = find(client, deployment)
    if known is not None and known.work_pool_name:
        name = f"{deployment.pipeline.name}/{deployment.name}"
        raise UsageError(
            f"{name} is registered with the work pool {known.work_pool_name}, whose workers execute it; to serve "
            f"it with `charpipe serve`, type first: {_prefect(client)} deployment delete {name}"
        )
    return _create(
        client,
        deployment,
        known,
        parameters=deployment.parameters(workspace),
        tags=[TAG, workspace_tag(workspace)],
        path=str(deployment.folder),
    )


def register_with_pool(
    client: SyncPrefectClient,
    deployment: Deployment,
    registry: Registry,
    pool: str,
    job_variables: Mapping[str, Any] | None = None,
) -> UUID:
    """Create or update `deployment` for the workers of `pool`, which execute it in their own project and workspace: it
    carries the project's digest, and no path of this machine. Prefect keeps its runs from overlapping."""
    known = find(client, deployment)
    return _create(
        client,
        deployment,
        known,
        parameters=deployment.portable_parameters(registry),
        tags=[TAG, heartbeats.TAG],
        work_pool_name=pool,
        **_in_a_pool(deployment, job_variables or {}),
    )


def _create(
    client: SyncPrefectClient, deployment: Deployment, known: DeploymentResponse | None, **options: Any
) -> UUID:
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    config = deployment.config
    schedules = []
    if config.schedule is not None:
        schedules = [DeploymentScheduleCreate(schedule=prefect_schedule(config.schedule), active=True)]
    return client.create_deployment(
        client.create_flow_from_name(deployment.pipeline.name),
        deployment.name,
        schedules=schedules,
        description=_description(deployment),
        entrypoint=entrypoint(deployment.pipeline),
        paused=config.paused or (known is not None and known.paused),
        enforce_parameter_schema=False,
        **options,
    )


def _in_a_pool(deployment: Deployment, given: Mapping[str, Any]) -> dict[str, Any]:
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions

    strategies = {"wait": ConcurrencyLimitStrategy.ENQUEUE, "skip": ConcurrencyLimitStrategy.CANCEL_NEW}
    overlap = deployment.config.overlap
    if overlap not in strategies:
        raise UsageError(
            f"deployments.{deployment.name}.overlap: the workers of a pool cannot {overlap} a run; "
            "set overlap to wait or skip, or use `charpipe serve`"
        )
    return {
        "job_variables": {**given, "env": {**given.get("env", {}), **heartbeats.ENVIRONMENT}},
        "concurrency_limit": 1,
        "concurrency_options": ConcurrencyOptions(collision_strategy=strategies[overlap]),
    }


def find(client: SyncPrefectClient, deployment: Deployment) -> DeploymentResponse | None:
    """The deployment as stored on the server, or None."""
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(f"{deployment.pipeline.name}/{deployment.name}")
    except ObjectNotFound:
        return None


def pause_leftovers(
    client: SyncPrefectClient, kept: set[UUID], workspace: Workspace, own: bool = False
) -> list[str]:
    """Pause deployments that an earlier pipelines.toml registered and this one lacks; returns their names.

    On the workspace's `own` server this covers all that charpipe registered, even before the workspace was moved.
    """
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    tags = [TAG] if own else [TAG, workspace_tag(workspace)]
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=tags))
    left = [
        one
        for one in client.read_deployments(deployment_filter=ours)
        if one.id not in kept and not one.paused
    ]
    for one in left:
        client.pause_deployment(one.id)
    return [one.name for one in left]


def workspace_tag(workspace: Workspace) -> str:
    """The tag that identifies this workspace on a server shared by several."""
    return f"charpipe.workspace:{workspace.root}"


def _description(deployment: Deployment) -> str:
    config = deployment.config
    lines = [config.summary, ""] if config.summary else []
    lines += [f"{code(deployment.pipeline.name)} of {code(deployment.subject)}", ""]
    when = str(config.schedule) if config.schedule else "only on demand"
    lines += [f"* when: {when}", f"* late: {config.late}, overlap: {config.overlap}"]
    lines += [f"* {code(f'{key} = {json.dumps(value)}')}" for key, value in deployment.all_settings.items()]
    return "\n".join(lines)


def check_pool(client: SyncPrefectClient, pool: str) -> None:
    """Raise UsageError if the server has no such work pool."""
    from prefect.exceptions import ObjectNotFound

    try:
        client.read_work_pool(pool)
    except ObjectNotFound as error:
        raise UsageError(
            f"there is no work pool {pool!r} on this Prefect server; to create it, type: "
            f"{_prefect(client)} work-pool create {pool} --type process"
        ) from error


def _prefect(client: SyncPrefectClient) -> str:
    """The command `prefect` for the client's server: without the variable, it starts a temporary server of its own."""
    return f"PREFECT_API_URL={without_secret(str(client.api_url).rstrip('/'))} prefect"
