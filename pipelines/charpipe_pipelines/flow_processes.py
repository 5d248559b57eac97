"""The processes that execute flow runs: Prefect's own engine, one process per run, able to outlive `charpipe serve`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    import psutil

ENGINE = "charpipe_pipelines.deployments.engine"
LOG_BYTES = 1_000_000
"""A deployment's log larger than this is replaced by a new one; the previous one is kept."""


@dataclass
class FlowProcess:
    """The process of a flow run. `process` is None if it was already running when this process started.

    `why_stopped` is "cancel", "replace" or "shutdown" once it was requested to save and exit."""

    flow_run: UUID
    deployment: UUID | None
    pid: int
    process: subprocess.Popen[bytes] | None = None
    why_stopped: str | None = None
    stop_requested: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def ended(self) -> bool:
        """Whether the process has exited; never blocks."""
        if self.process is not None:
            return self.process.poll() is not None
        return find(self.flow_run) is None

    @property
    def was_killed(self) -> bool:
        """Whether the process was killed from outside, as far as can be known, so that a retry may succeed."""
        return self.process is None or (self.process.returncode or 0) < 0

    @property
    def how(self) -> str:
        """How the process exited, as text."""
        code = None if self.process is None else self.process.returncode
        if code is None:
            return "its process is gone"
        if code < 0:
            return f"its process was killed by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"

    def stop(self, why: str) -> None:
        """Ask the process to save and exit."""
        self.why_stopped, self.stop_requested = why, time.monotonic()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def start(
    flow_run: UUID, deployment: UUID | None, environ: dict[str, str], folder: Path, log: Path
) -> FlowProcess:
    """Start a run's process in `folder`, in a session of its own, so that a terminal's Ctrl-C does not reach it."""
    _turn(log)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", ENGINE, str(flow_run)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=environ,
            start_new_session=True,
        )
    return FlowProcess(flow_run, deployment, process.pid, process)


def find(flow_run: UUID, workspace: Path | None = None) -> int | None:
    """The id of the process that executes a run on this machine, or None.

    With a `workspace`, only a process that works there counts: a copy of a workspace lists the same runs.
    """
    import psutil

    wanted = [ENGINE, str(flow_run)]
    for process in psutil.process_iter(["cmdline", "status"]):
        facts = process.info
        carries_it = facts["cmdline"] and facts["cmdline"][-2:] == wanted
        if carries_it and facts["status"] != psutil.STATUS_ZOMBIE and _works_in(process, workspace):
            return int(process.pid)
    return None


def _works_in(process: psutil.Process, workspace: Path | None) -> bool:
    """Whether a process was started for this workspace, by whatever path; True where that cannot be determined."""
    import psutil

    if workspace is None:
        return True
    try:
        home = process.environ().get("CHARPIPE_HOME")
        return home is None or Path(home).samefile(workspace)
    except FileNotFoundError:  # that workspace was moved or deleted
        return False
    except (psutil.Error, OSError):
        return True


def _turn(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".1.log"))
