"""Client side of a managed server: find, start and stop it.

The serving process writes its state to `<folder>/server.json` once it accepts requests. A process is recognized as the
server by its command line and folder, so a stale file or a reused process id does no harm.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from charpipe.errors import CharpipeError

STATE = "server.json"
PORT = "server.port"
IDLE_SECONDS = 15 * 60
START_SECONDS = 180.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05
MODULE = "charpipe.servers.serve"
ARGUMENTS = "CHARPIPE_SERVER_ARGUMENTS"
"""The environment variable with a server's arguments as JSON: every user sees a command line, and they may hold a
password."""


@dataclass(frozen=True)
class ManagedServer:
    """A server of the workspace.

    `application` names `module:function`, which the serving process calls with the server's base URL and `arguments`;
    it returns an ASGI application. `health` is a path that returns status 200. Environment variables that begin with
    one of `unset` are not passed on.
    """

    name: str
    folder: Path
    application: str
    health: str
    log: Path
    arguments: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    idle: float = IDLE_SECONDS

    def running(self) -> str | None:
        """The base URL of the server if it is running and answers, else None."""
        state = self._state()
        if state is None or not _is_ours(state["pid"], self.folder) or not _knows(state["pid"], self.folder):
            return None
        return state["url"] if self._answers(state["url"]) else None

    def start(self, timeout: float = START_SECONDS) -> str:
        """Start the server if it is not running; returns its base URL. Raises CharpipeError if it does not start."""
        if url := self.running():
            return url
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / "server.lock", timeout=timeout):
                return self.running() or self._launch(timeout)
        except Timeout as error:
            raise CharpipeError(
                f"another process has been starting the {self.name} server for {timeout:.0f} s; "
                f"see {self.log}, or stop it with `charpipe down`"
            ) from error

    def stop(self) -> bool:
        """Stop the server and wait until it has ended; returns False if none was running."""
        state = self._state()
        (self.folder / STATE).unlink(missing_ok=True)
        if state is None or not _is_ours(state["pid"], self.folder):
            return False
        _end(int(state["pid"]))
        return True

    def _launch(self, timeout: float) -> str:
        if self._state():  # running but not answering: two servers on one database are unsafe
            self.stop()
        command = [
            *(sys.executable, "-P", "-m", MODULE, self.application, str(self.folder)),
            *("--port", str(self._last_port()), "--idle", str(self.idle)),
        ]
        environ = {
            key: value for key, value in os.environ.items() if not key.startswith(self.unset or ("\0",))
        }
        environ[ARGUMENTS] = json.dumps(dict(self.arguments))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environ,
                start_new_session=True,  # the terminal's Ctrl-C must not stop it
            )
        return self._wait(process, timeout)

    def _wait(self, process: subprocess.Popen[bytes], timeout: float) -> str:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            state = self._state()
            if state is not None and state["pid"] == process.pid and self._answers(state["url"]):
                process.returncode = 0  # it keeps running; Popen must not wait for it
                return str(state["url"])
            if process.poll() is not None:
                break
            time.sleep(POLL_SECONDS)
        else:
            _end(process.pid)
            process.wait()
            raise CharpipeError(
                f"the {self.name} server did not answer within {timeout:.0f} s and was stopped; "
                f"see {self.log}"
            )
        code = process.returncode
        raise CharpipeError(
            f"the {self.name} server ended while it was starting (exit code {code}); see {self.log}"
        )

    def _state(self) -> dict[str, Any] | None:
        try:
            state = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
            return {"pid": int(state["pid"]), "port": int(state["port"]), "url": str(state["url"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _last_port(self) -> int:
        try:  # the previous port, so that an open browser page reconnects
            return int((self.folder / PORT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0

    def _answers(self, url: str) -> bool:
        # bypass any proxy: the server is on loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url + self.health, timeout=10) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def _is_ours(pid: int, folder: Path) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        words = process.cmdline()
        if process.status() == psutil.STATUS_ZOMBIE or MODULE not in words:
            return False
        if str(folder) in words:
            return True
        return _is_same(process.cwd(), folder)  # started with another path, or before the folder was moved
    except psutil.Error:
        return False


def _knows(pid: int, folder: Path) -> bool:
    """Whether the folder is still at the path that the server was started with, that is, was not moved."""
    import psutil

    try:
        return any(
            _is_same(word, folder) for word in psutil.Process(pid).cmdline() if Path(word).is_absolute()
        )
    except psutil.Error:
        return False


def _is_same(one: str, other: Path) -> bool:
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):
        return False


def _end(pid: int) -> None:
    import psutil

    with suppress(psutil.Error):
        process = psutil.Process(pid)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)
