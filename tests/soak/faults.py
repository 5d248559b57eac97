"""What goes wrong: processes killed, the disk full, MLflow's database locked, the source away, a Cancel."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

STARVING = ("kill-run", "kill-serve", "kill-server", "disk-full", "mlflow-locked")
"""Those that count as killed or starved."""
WEIGHTS = {
    "kill-run": 5,
    "kill-serve": 2,
    "kill-server": 2,
    "stop-serve": 2,
    "disk-full": 4,
    "mlflow-locked": 3,
    "source-gone": 2,
    "cancel": 2,
}


def choose(random_: random.Random) -> str:
    """A kind of fault, by weight."""
    return random_.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]


def kill(pid: int) -> None:
    """SIGKILL, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_server(workspace: Path) -> None:
    """SIGKILL the workspace's Prefect server."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        kill(int(json.loads((workspace / "prefect" / "server.json").read_text())["pid"]))


def fill_disk(pid: int, size: int) -> None:
    """From now on no file of the process can grow beyond `size` bytes: its writes fail as on a full disk."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))


def lock_mlflow(workspace: Path, seconds: float) -> None:
    """Hold MLflow's database so that nobody else can read or write it."""

    def hold() -> None:
        path = workspace / "mlflow" / "mlflow.db"
        if not path.is_file():
            return
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(path, timeout=5)) as database,
        ):
            database.isolation_level = None
            database.execute("begin exclusive")
            time.sleep(seconds)
            database.execute("rollback")

    threading.Thread(target=hold, daemon=True).start()


def hide(folder: Path, seconds: float) -> None:
    """Take the source away for a while."""
    away = folder.with_name(f"{folder.name}-away")
    with contextlib.suppress(OSError):
        folder.rename(away)

        def back() -> None:
            time.sleep(seconds)
            away.rename(folder)

        threading.Thread(target=back).start()


def ask(workspace: Path, path: str, question: Any) -> Any:
    """A question to Prefect's API; None where it does not answer."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        url = json.loads((workspace / "prefect" / "server.json").read_text())["url"]
        request = urllib.request.Request(
            f"{url}/api{path}", json.dumps(question).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)
    return None


def cancel(workspace: Path, flow_run: str) -> None:
    """Cancel, as the button in Prefect's page does."""
    ask(workspace, f"/flow_runs/{flow_run}/set_state", {"state": {"type": "CANCELLING"}})


Act = Callable[[], None]
