"""Decides about due runs: which one starts, which are skipped, whether a running one is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from charpipe_pipelines.deployments.settings import DeploymentConfig

LATE = timedelta(seconds=60)
"""A run first seen so long after its time was missed: nobody served then."""


@dataclass(frozen=True)
class Due:
    """A due flow run of one deployment. `seen` is when this process first saw it due;
    `by_schedule` is False for one started by a person, `again` True for one that is resumed or retried."""

    id: UUID
    time: datetime
    seen: datetime
    by_schedule: bool = True
    again: bool = False

    @property
    def scheduled(self) -> bool:
        """Whether only the schedule asks for it."""
        return self.by_schedule and not self.again

    @property
    def missed(self) -> bool:
        return self.scheduled and self.seen - self.time > LATE


@dataclass(frozen=True)
class OverlapDecision:
    """At most one run to start now; runs to skip, each with the reason; whether to stop the running one."""

    start: Due | None = None
    skip: list[tuple[Due, str]] = field(default_factory=list)
    stop_running: bool = False


def decide(
    due: Sequence[Due], running: bool, config: DeploymentConfig, paused: bool = False
) -> OverlapDecision:
    """Decide about the due runs of one deployment. A run started by a person is never skipped as late, and starts even
    where the schedule is `paused`."""
    waiting = sorted(due, key=lambda one: (one.time, str(one.id)))
    skipped: list[tuple[Due, str]] = []
    if paused:  # pausing deletes the schedule's runs, but Prefect's scheduler may add one at that moment
        left = [one for one in waiting if one.scheduled]
        waiting, skipped = _without(waiting, left, "its deployment is paused")
    waiting, missed = _drop_missed(waiting, config)
    waiting, doubled = _keep_newest(waiting)
    skipped += missed + doubled
    if not running:
        return OverlapDecision(waiting[0] if waiting else None, skipped)
    if config.overlap == "skip":
        skipped += [(one, "the previous run is still in progress") for one in waiting if not one.again]
    stop = config.overlap == "replace" and any(not one.again for one in waiting)
    return OverlapDecision(None, skipped, stop)


def _drop_missed(due: list[Due], config: DeploymentConfig) -> tuple[list[Due], list[tuple[Due, str]]]:
    missed = [one for one in due if one.missed]
    if config.late == "skip":
        return _without(due, missed, "its time passed while no process served, and late = skip")
    if any(one.again for one in due):
        return _without(
            due, missed, "its time passed while no process served; the run in progress replaces it"
        )
    return due, []


def _keep_newest(due: list[Due]) -> tuple[list[Due], list[tuple[Due, str]]]:
    scheduled = [one for one in due if one.scheduled]
    return _without(due, scheduled[:-1], "a later run of the same schedule is due and replaces it")


def _without(due: list[Due], dropped: list[Due], reason: str) -> tuple[list[Due], list[tuple[Due, str]]]:
    return [one for one in due if one not in dropped], [(one, reason) for one in dropped]
