"""Heartbeats of flow runs on a team's Prefect server, so that a run whose machine died does not stay Running.

Prefect's engine sends an event every `SECONDS`; an automation on the server marks a run as Crashed that stopped
sending. The workspace's own server needs neither: it is on the same machine and looks at the processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

TAG = "charpipe.heartbeat"
"""On every run that sends heartbeats this often; the automations see no other runs."""
SECONDS = 30
"""Between two heartbeats: Prefect's minimum."""
SILENCE = timedelta(seconds=150)
"""Without a heartbeat, a run counts as dead. Longer than a server takes to restart."""
START = timedelta(minutes=15)
"""A run that a worker has taken counts as lost if no process started it in that time."""
ENVIRONMENT = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(SECONDS)}
"""For the processes in which a pool's workers execute runs."""
SILENT = "charpipe: mark runs without a heartbeat as crashed"
NEVER_STARTED = "charpipe: mark runs that never start as crashed"
_OURS = {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}


@contextmanager
def heartbeats(on: bool) -> Iterator[None]:
    """Whether the flows that are called in this context send heartbeats."""
    from prefect import tags
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    if not on:  # its thread would end a second late
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
        return
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: SECONDS}), tags(TAG):
        yield


def create_automations(
    client: SyncPrefectClient, silence: timedelta = SILENCE, start: timedelta = START
) -> None:
    """Create the server's automations where it has none of these names: one that was changed or disabled there stays.

    Raises what the client raises, for example where this user may not create automations.
    """
    for automation in (_silent(silence), _never_started(start)):
        if not client.read_automations_by_name(automation.name):
            client.create_automation(automation)


def _silent(silence: timedelta) -> Any:
    seconds = int(silence.total_seconds())
    return _crashing(
        SILENT,
        f"A run with the tag {TAG} sends a heartbeat every {SECONDS} s.",
        after="prefect.flow-run.heartbeat",
        within=silence,
        message=f"no heartbeat for {seconds} s: its process or its machine is gone; its checkpoints are kept, and "
        "`charpipe resume` or Retry continues it",
    )


def _never_started(start: timedelta) -> Any:
    minutes = start.total_seconds() / 60
    return _crashing(
        NEVER_STARTED,
        "A pending run holds its deployment's concurrency slot, also where its worker is gone.",
        after="prefect.flow-run.Pending",
        within=start,
        message=f"no process started it within {minutes:g} minutes: its worker may be gone; Retry starts it again",
    )


def _crashing(name: str, description: str, after: str, within: timedelta, message: str) -> Any:
    """An automation: a run of ours of which nothing is heard for `within` after the event `after` has crashed."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    trigger = EventTrigger(
        after={after},
        expect={"prefect.flow-run.*"},  # the next heartbeat, or any change of its state
        match=ResourceSpecification.model_validate({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification.model_validate(_OURS),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=within,
    )
    action = ChangeFlowRunState(name="Crashed", state=StateType.CRASHED, message=message)
    return AutomationCore(name=name, description=description, trigger=trigger, actions=[action])
