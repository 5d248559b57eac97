"""A team's servers for end-to-end tests: Prefect's and MLflow's, as their own commands start them.

Each is a process of its own with a private folder and a free port on loopback.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from postgres_server import free_port
from prefect_server import ENDED
from waiting import LIMIT, until


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of charpipe, Prefect and MLflow."""
    foreign = ("CHARPIPE_", "MLFLOW_", "PREFECT_")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)} | more


class ServerProcess:
    """A server's process. `start` after `kill` brings it back at the same address."""

    def __init__(self, folder: Path, health: str, *command: str, **environ: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._health, self._log = health, folder / "log"
        self._command = [word.format(port=self.port) for word in command]
        self._environ = clean_environment(**environ)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environ,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        until(self._answers, lambda: self._log.read_text()[-4000:])

    def kill(self) -> None:
        """Kill it with all processes that it started."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def ask(self, path: str, question: Any = None) -> Any:
        """What it says: a POST where there is a question, else a GET."""
        data = None if question is None else json.dumps(question).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
            return json.loads(text) if text else None

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-4000:]
        try:
            urllib.request.urlopen(self.url + self._health, timeout=10).close()
            return True
        except OSError:
            return False


@contextmanager
def running(server: ServerProcess) -> Iterator[ServerProcess]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


def prefect_server(folder: Path, database: str, lease_seconds: int) -> ServerProcess:
    """`prefect server start` on a database; the concurrency slot of a lost run is free after `lease_seconds`."""
    return ServerProcess(
        folder,
        "/api/health",
        *(program("prefect"), "server", "start", "--host", "127.0.0.1", "--port", "{port}"),
        PREFECT_HOME=str(folder / "home"),
        PREFECT_SERVER_DATABASE_CONNECTION_URL=database,
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION=str(lease_seconds),
        PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE="prefect.server.concurrency.lease_storage.filesystem",
        DO_NOT_TRACK="true",
    )


def mlflow_server(folder: Path, database: str, artifacts: str, environ: Mapping[str, str]) -> ServerProcess:
    """`mlflow server` on a database, which hands out artifacts from object storage."""
    return ServerProcess(
        folder,
        "/health",
        *(program("mlflow"), "server", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
        *("--backend-store-uri", database, "--artifacts-destination", artifacts),
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        **environ,
    )


class Machine:
    """A machine of the team: a folder with a copy of the project, and a workspace of its own."""

    def __init__(self, root: Path, project: str, **environ: str) -> None:
        self.folder, self.home = root / "project", root / "workspace"
        self.folder.mkdir(parents=True)
        (self.folder / "pipelines.toml").write_text(project)
        self.environ = clean_environment(CHARPIPE_HOME=str(self.home), **environ)
        self._started: list[subprocess.Popen[bytes]] = []

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """`charpipe WORDS` in its project; `code` is the exit code that it must have."""
        return self._execute([program("charpipe"), *words], code)

    def run_shell(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run shell commands in its project; none may fail."""
        return self._execute(["sh", "-ec", text], 0)

    def _execute(self, command: list[str], code: int) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """`charpipe WORDS` in its project, not waited for; `kill` ends it where a test fails before it does."""
        with (self.folder / "output").open("ab") as output:
            process = subprocess.Popen(
                [program("charpipe"), *words], cwd=self.folder, env=self.environ, stdout=output, stderr=output
            )
        self._started.append(process)
        return process

    def kill(self) -> None:
        """Kill what `start` started and still runs."""
        for process in self._started:
            process.kill()
            process.wait()


@contextmanager
def running_worker(folder: Path, *command: str, **environ: str) -> Iterator[None]:
    """A worker of a pool that `command` starts in `folder`, and that asks for runs every second; afterwards it is
    stopped with all that it started. It prints to `folder/output`."""
    folder.mkdir(exist_ok=True)
    asking = clean_environment(PREFECT_HOME=str(folder / "home"), PREFECT_WORKER_QUERY_SECONDS="1", **environ)
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(
            command, env=asking, stdout=output, stderr=output, cwd=folder, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(LIMIT)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def flow_runs(prefect: ServerProcess) -> list[dict[str, Any]]:
    """All flow runs of a server, the newest first."""
    found: list[dict[str, Any]] = prefect.ask("/api/flow_runs/filter", {"sort": "START_TIME_DESC"})
    return found


def ended(prefect: ServerProcess, flow_run: str) -> dict[str, Any]:
    """The state in which a flow run ends."""

    def state() -> dict[str, Any] | None:
        now: dict[str, Any] = prefect.ask(f"/api/flow_runs/{flow_run}")["state"]
        return now if now["type"] in ENDED else None

    found: dict[str, Any] = until(state, lambda: prefect.ask(f"/api/flow_runs/{flow_run}")["state"])
    return found


def program(name: str) -> str:
    """The path of a program of this Python environment."""
    return str(Path(sys.executable).with_name(name))
