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
    def missed(self) -> bool:
        return self.by_schedule and not self.again and self.seen - self.time > LATE


@dataclass(frozen=True)
class OverlapDecision:
    """At most one run to start now; runs to skip, each with the reason; whether to stop the running one."""

    start: Due | None = None
    skip: list[tuple[Due, str]] = field(default_factory=list)
    stop_running: bool = False


def decide(due: Sequence[Due], running: bool, config: DeploymentConfig) -> OverlapDecision:
    """Decide about the due runs of one deployment. A run started by a person is never skipped as late."""
    waiting, skipped = _drop_missed(sorted(due, key=lambda one: (one.time, str(one.id))), config)
    waiting, doubled = _keep_newest(waiting)
    skipped += doubled
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
    scheduled = [one for one in due if one.by_schedule and not one.again]
    return _without(due, scheduled[:-1], "a later run of the same schedule is due and replaces it")


def _without(due: list[Due], dropped: list[Due], reason: str) -> tuple[list[Due], list[tuple[Due, str]]]:
    return [one for one in due if one not in dropped], [(one, reason) for one in dropped]
