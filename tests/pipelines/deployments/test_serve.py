"""`charpipe serve` as a user starts it: a process of its own, a real server, a schedule, signals, a second one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from charpipe.workspace import Workspace
from charpipe_pipelines.server import managed_server
from waiting import LIMIT, until

pytestmark = pytest.mark.e2e
HERE = Path(__file__).parent
TABLE = """
[deployments.often]
pipeline = "toy"
schedule = {interval = "10s"}

[deployments.long]
pipeline = "toy"
waits = true
"""


class ServedWorkspace:
    """A project whose only pipeline is a toy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "plugins").mkdir()
        (folder / "modules").mkdir()
        shutil.copy(HERE / "toy_plugin.py", folder / "plugins")
        shutil.copy(HERE / "toy_flows.py", folder / "modules")
        (folder / "pipelines.toml").write_text(TABLE)
        self.environ = os.environ | {"PYTHONPATH": str(folder / "modules")}
        self.errors = folder / "errors.txt"
        self.said: list[dict[str, Any]] = []

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "charpipe", *words]

    def run(self, *words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def serve(self) -> subprocess.Popen[str]:
        with self.errors.open("w") as errors:
            process = subprocess.Popen(
                self.command("serve", "--json", "--limit", "2"),
                cwd=self.folder,
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.said.append(json.loads(line))

    def until(self, event: str, **facts: Any) -> dict[str, Any]:
        """Wait for something that is said from now on."""
        return self._wait(
            lambda: [one for one in self.said if {"event": event, **facts}.items() <= one.items()]
        )

    def _wait(self, poll: Callable[[], list[dict[str, Any]]]) -> dict[str, Any]:
        found: list[dict[str, Any]] = until(poll, lambda: self.said)
        return found[-1]

    def notes(self) -> str:
        return (self.folder / ".charpipe" / "notes.txt").read_text()


@pytest.fixture
def place(project: Path, copy_prefect: Callable[[Workspace], None]) -> Iterator[ServedWorkspace]:
    made = ServedWorkspace(project)
    copy_prefect(Workspace(project / ".charpipe"))
    yield made
    managed_server(Workspace(project / ".charpipe")).stop()


def end(place: ServedWorkspace, process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    return process.wait(timeout=LIMIT), place.errors.read_text()


def test_a_day_in_the_life_of_serve(place: ServedWorkspace) -> None:
    code, out, _ = place.run("deployments", "run", "long")
    assert code == 1  # nobody serves
    assert out == ""

    process = place.serve()
    place.until("serving")
    code, out, _ = place.run("deployments", "run", "long", "--json")
    assert code == 0
    started = place.until("started", deployment="long")
    assert started["id"] == json.loads(out)["id"]
    place.until("ended", deployment="often", state="Completed")  # by its schedule

    code, _, err = place.run("serve")
    assert (code, err.count("\n")) == (1, 1)
    assert f"is already served by process {process.pid}" in err

    server = managed_server(Workspace(place.folder / ".charpipe"))
    os.kill(json.loads((server.folder / "server.json").read_text())["pid"], signal.SIGKILL)
    place.until("serving", again=True)

    assert end(place, process, signal.SIGTERM) == (0, "")
    ended = place.until("ended", deployment="long")
    assert "resumes when charpipe serve is running again" in ended["next"]
    assert place.notes().count("saved") >= 1
    code, out, _ = place.run("deployments", "list", "--json")
    listed = {row["deployment"]: row for row in json.loads(out)}
    assert listed["often"]["state"] == "active"  # its schedule survives
    assert listed["often"]["next"]
    assert listed["long"]["next"]  # it goes on

    place.said.clear()
    process = place.serve()
    assert place.until("started", deployment="long")["id"] == started["id"]
    assert place.run("deployments", "pause", "often")[::2] == (0, "")
    process.kill()
    process.wait()
    place.said.clear()
    process = place.serve()
    assert place.until("adopted", deployment="long")["flow_run"]
    _, out, _ = place.run("deployments", "list", "--json")
    listed = {row["deployment"]: row for row in json.loads(out)}
    assert (listed["often"]["state"], listed["often"]["next"]) == ("paused", None)  # a pause survives, too
    assert place.run("deployments", "resume", "often")[::2] == (0, "")
    assert end(place, process, signal.SIGINT) == (0, "")


def test_what_is_wrong_is_said_before_anything_starts(place: ServedWorkspace) -> None:
    path = place.folder / "pipelines.toml"
    path.write_text(TABLE.replace('"10s"', '"10q"'))
    code, out, err = place.run("serve")
    assert (code, out) == (2, "")
    assert err.startswith("charpipe: deployments.often.schedule.interval: ")
    assert not (place.folder / ".charpipe" / "prefect" / "server.json").exists()
    path.write_text("")
    code, _, err = place.run("serve")
    assert code == 2
    assert "[deployments.nightly]" in err


def test_a_near_match_is_offered(place: ServedWorkspace) -> None:
    code, _, err = place.run("deployments", "run", "lnog")
    assert code == 2
    assert "did you mean 'long'" in err
