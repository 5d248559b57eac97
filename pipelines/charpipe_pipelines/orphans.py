"""Flow runs that no serving process watches: those of killed processes, and those retried in Prefect's UI."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from charpipe.servers.serve import UNCOUNTED
from charpipe_pipelines.flow_processes import find

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

CLOCK_SECONDS = 60.0
"""By how much two readings of a process's start may differ."""
UNSIGNED = timedelta(minutes=10)
UNFINISHED = ("PENDING", "RUNNING", "CANCELLING")


def whose(pid: int | None = None) -> str:
    """A unique name for a process: host, process id, start time, and the boot and process namespace in which
    these two are valid. Raises psutil.Error where there is no such process."""
    import psutil

    number = os.getpid() if pid is None else pid
    host = socket.gethostname()
    ticks = _start_ticks(number)
    if ticks is None:
        return f"{host}:{number}:{psutil.Process(number).create_time():.2f}"
    return f"{host}:{number}:{ticks}:{_boot()}"


def _start_ticks(pid: int) -> str | None:
    """The start time of a process as Linux counts it, from boot, so that setting the clock does not change it;
    None on other systems. Raises psutil.NoSuchProcess."""
    import psutil

    if not Path("/proc/self/stat").is_file():
        return None
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError as error:
        raise psutil.NoSuchProcess(pid) from error
    if fields[0] == "Z":  # a zombie: dead, but not yet waited for
        raise psutil.NoSuchProcess(pid)
    return fields[19]


def _boot() -> str:
    """The boot id of this machine, and the process namespace (a container has its own)."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115  it is no path


def is_alive(name: str) -> bool | None:
    """Whether the process of that name still runs; None if it is another machine's, or the name is invalid."""
    import psutil

    host, pid, started, boot = ([*name.split(":", 3), "", "", "", ""])[:4]
    if host != socket.gethostname() or not pid.isdigit():
        return None
    try:
        if not boot:  # the format of earlier releases, by a clock that may have been set since
            return bool(abs(psutil.Process(int(pid)).create_time() - float(started)) < CLOCK_SECONDS)
        if boot != _boot():
            # another boot of this machine has ended; another namespace cannot be inspected
            return False if boot.partition("/")[2] == _boot().partition("/")[2] else None
        return whose(int(pid)) == name
    except (psutil.Error, ValueError, OSError):
        return False


def unfinished(client: SyncPrefectClient, deployments: Iterable[UUID]) -> list[FlowRun]:
    """The runs of these deployments that Prefect considers running."""
    return _runs(client, UNFINISHED, deployment_id={"any_": list(deployments)})


def cancelling(client: SyncPrefectClient, runs: Mapping[UUID, Any]) -> list[UUID]:
    """Those of these runs that were cancelled."""
    if not runs:
        return []
    return [run.id for run in _runs(client, ("CANCELLING",), id={"any_": list(runs)})]


def mark_crashed(client: SyncPrefectClient, watched: set[UUID], report: Callable[..., None]) -> None:
    """Mark manually started runs as crashed if their process died without a final state."""
    from prefect.states import Crashed

    for run in _by_hand(client, UNFINISHED):
        if run.id not in watched and _was_killed(run):
            state: Any = Crashed(message="its process was killed; type: charpipe resume, or retry it here")
            client.set_flow_run_state(run.id, state, force=True)
            end_tasks(client, run.id)
            report("crashed", deployment="by-hand", flow_run=run.name, id=str(run.id))


def _was_killed(run: FlowRun) -> bool:
    """Whether the process of one of our runs is gone; False where that cannot be known."""
    if find(run.id) is not None:
        return False
    if run.infrastructure_pid:
        return is_alive(run.infrastructure_pid) is False
    # killed before it could write its name, which a process does right after it starts
    began = run.start_time or run.created
    late = began is not None and datetime.now(UTC) - began > UNSIGNED
    return late and {"options", "settings", "workspace"} <= set(run.parameters)


def mark_killed_runs(url: str) -> None:
    """`mark_crashed` on our own server, at `url`; best effort, only for the UI: errors are ignored."""
    from prefect.client.orchestration import SyncPrefectClient

    with suppress(Exception), SyncPrefectClient(url, httpx_settings={"headers": {UNCOUNTED: "1"}}) as client:
        mark_crashed(client, set(), lambda *_, **__: None)


def end_tasks(client: SyncPrefectClient, flow_run: UUID) -> None:
    """Mark the tasks of a run whose process was killed as crashed, too."""
    from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
    from prefect.states import Crashed

    of_it = FlowRunFilter.model_validate({"id": {"any_": [flow_run]}})
    going_on = TaskRunFilter.model_validate({"state": {"type": {"any_": list(UNFINISHED)}}})
    for task in client.read_task_runs(flow_run_filter=of_it, task_run_filter=going_on):
        state: Any = Crashed(message="its process was killed")
        client.set_task_run_state(task.id, state, force=True)


def retried(client: SyncPrefectClient, known: Mapping[str, str]) -> Iterator[tuple[FlowRun, str]]:
    """Manually started runs that were retried in Prefect's UI, with their flow's entrypoint; `known` maps flow
    names to entrypoints."""
    flows: dict[UUID, str] = {}
    for run in _by_hand(client, ("SCHEDULED",)):
        if run.run_count and run.state_name == "AwaitingRetry":
            name = flows.setdefault(run.flow_id, client.read_flow(run.flow_id).name)
            if name in known:
                yield run, known[name]


def _by_hand(client: SyncPrefectClient, types: tuple[str, ...]) -> list[FlowRun]:
    return [
        run for run in _runs(client, types, deployment_id={"is_null_": True}) if run.deployment_id is None
    ]


def _runs(client: SyncPrefectClient, types: tuple[str, ...], **where: Any) -> list[FlowRun]:
    from prefect.client.schemas.filters import FlowRunFilter

    chosen = FlowRunFilter.model_validate({"state": {"type": {"any_": list(types)}}, **where})
    return list(client.read_flow_runs(flow_run_filter=chosen))
