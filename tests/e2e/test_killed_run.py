"""A command killed by SIGKILL: its flow run and tasks do not stay Running in Prefect's page."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charpipe.workspace import Workspace
from charpipe_pipelines.server import managed_server
from waiting import until

pytestmark = pytest.mark.e2e


def command(corpus: Path, steps: int) -> list[str]:
    words = ["run", "train-and-sample", "--corpus", str(corpus), "--steps", str(steps)]
    settings = ["architectures.lstm.hidden_size=16", "sample.length=20", "tracking.enabled=false"]
    return [
        sys.executable,
        "-P",
        "-m",
        "charpipe",
        *words,
        *(word for one in settings for word in ("--set", one)),
    ]


def ask(url: str, what: str) -> list[dict[str, Any]]:
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/{what}/filter", b"{}", headers)) as answer:
        found: list[dict[str, Any]] = json.load(answer)
        return found


def test_next_command_marks_a_killed_run_as_crashed_and_no_other(
    project: Path, copy_prefect: Callable[[Workspace], None]
) -> None:
    corpus = project / "a.txt"
    corpus.write_text("the quick brown fox jumps over the lazy dog\n" * 300)
    workspace = Workspace(project / ".charpipe")
    copy_prefect(workspace)
    server = managed_server(workspace)
    url = server.start()
    output = (project / "output.txt").open("wb")
    killed = subprocess.Popen(command(corpus, 10**7), stdout=output, stderr=output)
    alive = subprocess.Popen([*command(corpus, 10**7), "--set", "train.seed=2"], stdout=output, stderr=output)
    try:
        until(
            lambda: (
                [one["state_name"] for one in ask(url, "task_runs") if one["name"] == "train"]
                == ["Running"] * 2
            )
        )
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        done = subprocess.run(command(corpus, 2), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        states = {one["infrastructure_pid"].split(":")[1]: one["state_name"] for one in ask(url, "flow_runs")}
        assert states.pop(str(killed.pid)) == "Crashed"
        assert states.pop(str(alive.pid)) == "Running"
        assert list(states.values()) == ["Completed"]
        assert "Crashed" in {one["state_name"] for one in ask(url, "task_runs") if one["name"] == "train"}
    finally:
        for process in (killed, alive):
            process.kill()
            process.wait()
        output.close()
        server.stop()
