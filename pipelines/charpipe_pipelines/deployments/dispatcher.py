"""Executes what Prefect's server has scheduled: starts a process for each due run, watches it, and ends it.

Prefect has a runner of its own; this one differs in three ways: runs are stopped together and save first, one
catch-up run replaces many missed ones, and a lost server ends nothing. See docs/decisions.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psutil

from charpipe.config.identity import file_name
from charpipe.workspace import Workspace
from charpipe_pipelines import flow_processes, orphans
from charpipe_pipelines.deployments.catalogue import Deployment
from charpipe_pipelines.deployments.decisions import decided
from charpipe_pipelines.deployments.policies import Due, decide
from charpipe_pipelines.flow_processes import FlowProcess
from charpipe_pipelines.server import OWN_API

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

GRACE_SECONDS = 300.0
"""For a run that was told to save and end, before its process is killed."""
RETRY_SECONDS = 5.0
"""Seconds before a run whose process was killed is resumed."""
ORPHANS_EVERY = 5.0
Report = Callable[..., None]


class Dispatcher:
    """The runs of one serving process. `flows` maps flow names to entrypoints, for runs without a deployment;
    `report(event, **facts)` reports events; every method that takes a client
    may raise what the client raises when the server is gone, and can then be called again."""

    def __init__(
        self,
        workspace: Workspace,
        flows: Mapping[str, str],
        environ: Mapping[str, str],
        limit: int,
        report: Report,
    ) -> None:
        self.processes: dict[UUID, FlowProcess] = {}
        self._deployments: dict[UUID, Deployment] = {}
        self._workspace = workspace
        self._flows = flows
        self._environ = dict(environ)
        self._limit = limit
        self._report = report
        self._seen: dict[UUID, datetime] = {}
        self._orphans_due = 0.0
        self._names: dict[UUID, str] = {}
        """What each run was last called in the log."""

    def adopt(
        self,
        client: SyncPrefectClient,
        deployments: Mapping[UUID, Deployment],
        url: str,
        own: bool = True,
    ) -> None:
        """Serve these deployments, at the API `url`, which may be the `own` one; watch their runs from now on."""
        self._deployments = dict(deployments)
        self._environ |= {"PREFECT_API_URL": url, OWN_API: url if own else ""}
        for run in orphans.unfinished(client, self._deployments):
            if run.id not in self.processes:
                pid = flow_processes.find(run.id, self._workspace.root)
                child = FlowProcess(run.id, run.deployment_id, pid or -1)
                if pid is None:
                    self._finish(client, child)
                else:
                    self.processes[run.id] = child
                    self._names[run.id] = run.name
                    self._report("adopted", deployment=self._name(child), flow_run=run.name, pid=pid)

    def tick(self, client: SyncPrefectClient) -> None:
        """Check once which runs ended, which are to be cancelled and which are due."""
        self._reap(client)
        self._cancel(client)
        now = datetime.now(UTC)
        due = client.get_scheduled_flow_runs_for_deployments(list(self._deployments), scheduled_before=now)
        by_deployment: dict[UUID, list[Due]] = {}
        for run in due:
            if run.id not in self.processes and run.deployment_id is not None:
                by_deployment.setdefault(run.deployment_id, []).append(self._due(run, now))
        self._seen = {run.id: self._seen[run.id] for run in due if run.id in self._seen}
        for id_, runs in by_deployment.items():
            self._follow(client, id_, runs)
        if time.monotonic() >= self._orphans_due:
            self._orphans_due = time.monotonic() + ORPHANS_EVERY
            for child in self.processes.values():
                self._follow_name(child, client.read_flow_run(child.flow_run).name)
            self._check_orphans(client)

    def stop_all(self, why: str = "shutdown") -> None:
        """Ask every run to save and exit."""
        for child in self.processes.values():
            if child.why_stopped is None:
                child.stop(why)

    def reap(self, client: SyncPrefectClient) -> bool:
        """Settle the runs that ended; returns whether all have."""
        self._reap(client)
        return not self.processes

    def _due(self, run: Any, now: datetime) -> Due:
        time_ = run.next_scheduled_start_time or now
        again = run.run_count > 0 or run.state_name == "AwaitingRetry"
        return Due(run.id, time_, self._seen.setdefault(run.id, now), bool(run.auto_scheduled), again)

    def _follow(self, client: SyncPrefectClient, id_: UUID, runs: Sequence[Due]) -> None:
        deployment = self._deployments[id_]
        running = [child for child in self.processes.values() if child.deployment == id_]
        paused = any(one.scheduled for one in runs) and client.read_deployment(id_).paused
        decision = decide(runs, bool(running), deployment.config, paused)
        self._skip(client, decision.skip, deployment)
        if decision.stop_running:
            for child in running:
                if child.why_stopped is None:
                    child.stop("replace")
                    self._report("stopping", deployment=deployment.name, why="a later run replaces it")
        if decision.start is not None and len(self.processes) < self._limit:
            self._start(client, decision.start.id, id_, deployment.folder, self._environ)

    def _skip(
        self, client: SyncPrefectClient, skipped: list[tuple[Due, str]], deployment: Deployment
    ) -> None:
        from prefect.states import Cancelled

        counts: Counter[str] = Counter()
        for due, reason in skipped:
            state: Any = Cancelled(name="Skipped", message=reason)
            client.set_flow_run_state(due.id, state, force=True)
            counts[reason] += 1
        for reason, count in counts.items():
            self._report("skipped", deployment=deployment.name, runs=count, why=reason)

    def _start(
        self,
        client: SyncPrefectClient,
        flow_run: UUID,
        deployment: UUID | None,
        folder: Path,
        environ: dict[str, str],
    ) -> None:
        from prefect.client.schemas.responses import SetStateStatus
        from prefect.states import Pending

        if deployment is None:  # its old process is gone; this one stands in until the new one starts
            client.update_flow_run(flow_run, infrastructure_pid=orphans.whose())
        pending: Any = Pending()
        if client.set_flow_run_state(flow_run, pending).status != SetStateStatus.ACCEPT:
            return  # it was cancelled, or another process executes it already
        child = flow_processes.start(flow_run, deployment, environ, folder, self._log(deployment))
        self.processes[flow_run] = child
        if deployment is None:
            with suppress(psutil.Error):  # it has ended already
                client.update_flow_run(flow_run, infrastructure_pid=orphans.whose(child.pid))
        run = client.read_flow_run(flow_run)
        self._names[flow_run] = run.name
        self._report(
            "started",
            deployment=self._name(child),
            flow_run=run.name,
            id=str(flow_run),
            pid=child.pid,
            run_count=run.run_count,
        )

    def _follow_name(self, child: FlowProcess, name: str) -> None:
        """Report once that Prefect renamed a run, after the training run that it started."""
        before = self._names.get(child.flow_run)
        if before is not None and before != name:
            self._report("named", deployment=self._name(child), flow_run=name, before=before)
        self._names[child.flow_run] = name

    def _reap(self, client: SyncPrefectClient) -> None:
        for id_, child in list(self.processes.items()):
            if child.ended():
                self._finish(client, child)
                del self.processes[id_]
            elif child.why_stopped is not None and time.monotonic() - child.stop_requested > GRACE_SECONDS:
                child.kill()

    def _cancel(self, client: SyncPrefectClient) -> None:
        for id_ in orphans.cancelling(client, self.processes):
            child = self.processes[id_]
            if child.why_stopped is None:
                child.stop("cancel")
                self._report("stopping", deployment=self._name(child), why="cancelled in Prefect's page")

    def _finish(self, client: SyncPrefectClient, child: FlowProcess) -> None:
        """Set Prefect's state of a run from how its process ended."""
        from prefect.states import AwaitingRetry, Cancelled, Crashed

        run = client.read_flow_run(child.flow_run)
        state: Any = run.state
        if state is not None and state.is_cancelling():
            state = Cancelled(message="cancelled; its checkpoints are kept")
            client.set_flow_run_state(run.id, state, force=True)
        elif state is None or not state.is_final():
            if state is not None and state.is_scheduled():
                return  # it was postponed, by itself or in the UI
            log = "" if child.was_killed else f"; see {self._log(child.deployment)}"
            state = Crashed(message=f"{child.how}; its checkpoints are kept{log}")
            client.set_flow_run_state(run.id, state, force=True)
            orphans.end_tasks(client, run.id)
        again: Any = None
        if child.why_stopped == "shutdown" and not state.is_completed():
            again = AwaitingRetry(message="it resumes when charpipe serve is running again")
        elif state.is_crashed() and self._may_go_on(client, child):
            moment = datetime.fromtimestamp(time.time() + RETRY_SECONDS, UTC)
            again = AwaitingRetry(scheduled_time=moment, message="it resumes from its last checkpoint")
        if again is not None:
            client.set_flow_run_state(run.id, again, force=True)
        self._follow_name(child, run.name)
        facts = {} if again is None else {"next": again.message}
        if state.is_completed() and (decision := decided(self._workspace, run.name)) is not None:
            facts["decision"] = decision
        seconds = round(time.monotonic() - child.began, 1)
        self._report(
            "ended",
            deployment=self._name(child),
            flow_run=run.name,
            id=str(run.id),
            state=state.name,
            message=state.message or "",
            seconds=seconds,
            **facts,
        )

    def _may_go_on(self, client: SyncPrefectClient, child: FlowProcess) -> bool:
        if child.deployment not in self._deployments or child.why_stopped is not None or not child.was_killed:
            return False
        crashes = [state for state in client.read_flow_run_states(child.flow_run) if state.is_crashed()]
        return len(crashes) <= self._deployments[child.deployment].config.retries

    def _check_orphans(self, client: SyncPrefectClient) -> None:
        """Runs without a deployment: retried in Prefect's UI, or left as running by a killed process."""
        orphans.mark_crashed(client, set(self.processes), self._report)
        for run, entrypoint in orphans.retried(client, self._flows):
            if run.id not in self.processes and len(self.processes) < self._limit:
                environ = {**self._environ, "PREFECT__FLOW_ENTRYPOINT": entrypoint}
                self._start(client, run.id, None, Path.cwd(), environ)

    def _log(self, deployment: UUID | None) -> Path:
        found = self._deployments.get(deployment) if deployment else None
        return self._workspace.logs / "deployments" / f"{log_name(found.name if found else 'by-hand')}.log"

    def _name(self, child: FlowProcess) -> str:
        found = self._deployments.get(child.deployment) if child.deployment else None
        return found.name if found else "by-hand"


def log_name(name: str) -> str:
    """The deployment's name, used for its log; escaped where it is long or contains special characters."""
    plain = name.isprintable() and not name.startswith((".", "-")) and len(name.encode()) <= 200
    return name if plain else file_name(name)
