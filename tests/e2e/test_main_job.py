"""The main job as a user types it: a process of its own, real servers, an awkward place, no network."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from waiting import LIMIT

pytestmark = pytest.mark.e2e

JOB = ["run", "train-and-sample", "--corpus", "mein Text ü.txt", "--arch", "rnn"]
SMALL = [
    "--set",
    "architectures.rnn.hidden_size=8",
    "--set",
    "sample.length=50",
    "--set",
    "train.batch_size=4",
]
TEXT = "Zwölf Boxkämpfer jagen Viktor quer über den Deich. " * 60
WATCH = """
import os, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.bind"):
        with open(os.environ["WATCHED"], "a") as file:
            file.write(f"{event} {arguments[1]!r}\\n")
sys.addaudithook(watch)
"""


class ProjectFolder:
    """A project folder and an environment: another time zone, no UTF-8 locale, every connection watched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mein Prüfstand"
        self.folder.mkdir()
        (self.folder / "mein Text ü.txt").write_text(
            "Zwölf Boxkämpfer jagen Viktor quer über den Deich. " * 60, "utf-8"
        )
        (folder / "sitecustomize.py").write_text(WATCH)
        self.watched = folder / "watched.txt"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LC_", "LANG", "PYTHON"))
        }
        self.environment = kept | {
            "LC_ALL": "C",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONPATH": str(folder),
            "TZ": "Asia/Kathmandu",
            "WATCHED": str(self.watched),
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "charpipe", *words]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> tuple[int, str, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out, err


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectFolder]:
    made = ProjectFolder(tmp_path_factory.mktemp("job"))
    yield made
    made.run("down")


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture(scope="module")
def done(place: ProjectFolder) -> dict[str, Any]:
    """The last line of the main job, run with `--json` beside a stray ./mlruns."""
    (place.folder / "mlruns").mkdir()
    code, out, err = place.run(*JOB, *SMALL, "--steps", "25", "--json")
    assert code == 0, err
    assert err == ""
    return events(out)[-1]


def test_it_ends_with_scores_and_a_sample(done: dict[str, Any]) -> None:
    assert done["event"] == "finished"
    assert {"val/loss", "val/bits_per_char", "test/loss"} <= set(done["metrics"])
    assert len(done["sample"]) == 50


def test_no_connection_leaves_the_machine(place: ProjectFolder, done: dict[str, Any]) -> None:
    lines = place.watched.read_text().splitlines()
    assert any(line.startswith("socket.connect (") for line in lines)
    for line in lines:
        _, _, address = line.partition(" ")
        if address.startswith("("):  # not a Unix socket
            assert ipaddress.ip_address(address[1:].split(",")[0].strip("'")).is_loopback, line


def test_a_stray_mlruns_is_left_alone(place: ProjectFolder, done: dict[str, Any]) -> None:
    assert list((place.folder / "mlruns").iterdir()) == []
    assert (place.folder / ".charpipe" / "mlflow" / "mlflow.db").is_file()


def test_the_same_command_again_finds_everything_done(place: ProjectFolder, done: dict[str, Any]) -> None:
    code, out, err = place.run(*JOB, *SMALL, "--steps", "25")
    assert code == 0
    assert err.startswith("starting train-and-sample") and err.count("\n") == 1
    assert out.count("cached") == 6
    assert done["run"] in out


def test_a_model_answers_in_the_awkward_place(place: ProjectFolder, done: dict[str, Any]) -> None:
    code, out, _ = place.run("sample", done["run"], "--length", "20", "--json")
    assert code == 0
    assert len(json.loads(out)["text"]) == 20
    code, out, _ = place.run("runs", "list", "--json")
    assert json.loads(out)[0]["run"] == done["run"]


def test_mlflow_has_the_final_scores(place: ProjectFolder, done: dict[str, Any]) -> None:
    with closing(sqlite3.connect(place.folder / ".charpipe" / "mlflow" / "mlflow.db")) as database:
        latest = dict(database.execute("select key, value from latest_metrics").fetchall())
    for name in ("val/loss", "val/bits_per_char", "test/loss", "test/bits_per_char"):
        assert latest[name] == done["metrics"][name]


def test_another_machine_needs_only_the_tracking_uri(
    place: ProjectFolder, done: dict[str, Any], tmp_path: Path
) -> None:
    code, out, err = place.run("ui", "--no-browser")
    assert code == 0, err
    uri = next(line for line in out.splitlines() if line.startswith("MLflow")).split()[1].split("/#")[0]
    words = ["sample", done["run"], "--length", "20", "--json"]
    environment = place.environment | {"MLFLOW_TRACKING_URI": uri}
    command = [sys.executable, "-m", "charpipe", *words]
    there = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert there.returncode == 0, there.stderr
    _, here, _ = place.run(*words)
    assert json.loads(there.stdout)["text"] == json.loads(here)["text"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(
    place: ProjectFolder, number: signal.Signals, code: int
) -> None:
    process = place.start(*JOB, *SMALL, "--set", f"train.seed={code}", "--steps", "2000", "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "step":
            process.send_signal(number)
            break
    _, err = process.communicate(timeout=LIMIT)
    assert process.returncode == code
    assert "Traceback" not in err
    assert "everything up to there is saved" in err
    run = err.split("charpipe resume ")[1].split()[0]
    folder = place.folder / ".charpipe" / "runs" / run
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "interrupted"
    assert (folder / status["last"]["path"] / "manifest.json").is_file()
    code, out, err = place.run(
        "resume", run, "--steps", "2100", "--set", "train.evaluate_every=300", "--json"
    )
    assert (code, err) == (0, "")
    assert events(out)[-1]["run"] == run
    assert json.loads((folder / "status.json").read_text())["step"] == 2100
    changes = json.loads((folder / "run.json").read_text())["facts"]["changes"]
    assert [change["settings"] for change in changes] == [{"steps": 2100, "evaluate_every": 300}]
