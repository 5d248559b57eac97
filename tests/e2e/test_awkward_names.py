"""Names as data: a workspace and corpora whose names are templates, URLs, patterns, markup or no UTF-8 at all, with the
real Prefect server and a real MLflow."""

from __future__ import annotations

import json
import os
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

PLACE = b"w {0} %41 '\"`?x=1#f&g;h [x] *\\ $HOME \xff \n-e"
NAMES = [b'it\'s {0} "q"?a#b&c %s.txt', b"[bold]x[red]*\\n\n.txt", b"-f \xff.txt"]
SMALL = ["--arch", "rnn", "--steps", "2", "--set", "architectures.rnn.hidden_size=8"]
SMALL += ["--set", "train.batch_size=4", "--set", "sample.length=20"]


class Project:
    """A folder of an awkward name, and commands in it."""

    def __init__(self, base: Path) -> None:
        self.folder = base / os.fsdecode(PLACE)
        self.folder.mkdir()
        (self.folder / "pipelines.toml").write_text(
            '[corpora."a song"]\nsources = ["s*.abc"]\n[tracking]\npatience = 600\n'
        )
        for number, name in enumerate([*NAMES, b"s.abc"]):
            text = f"Zwölf Boxkämpfer jagen Viktor {number} Mal über den Deich. " * 60
            (self.folder / os.fsdecode(name)).write_text(text)

    def run(self, *words: str | bytes) -> str:
        """What a command prints; it must end well and with nothing to say about itself."""
        command = [sys.executable, "-m", "charpipe", *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, timeout=LIMIT, check=False)
        out, err = (stream.decode("utf-8", "backslashreplace") for stream in (done.stdout, done.stderr))
        assert done.returncode == 0, f"{out}\n{err}"
        assert "Traceback" not in out + err and "Prefect became unavailable" not in out + err, f"{out}\n{err}"
        assert "tracking is incomplete" not in out + err, f"{out}\n{err}"
        return out


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = Project(tmp_path_factory.mktemp("names"))
    yield made
    made.run("down")


@pytest.fixture(scope="module")
def runs(project: Project) -> list[str]:
    """A retraining on each corpus, the name of its run."""
    done = [project.run("run", "retrain", "--corpus", name, *SMALL, "--json") for name in (*NAMES, b"a song")]
    return [json.loads(out.splitlines()[-1])["run"] for out in done]


def test_every_corpus_has_a_run_and_a_champion_of_its_own(project: Project, runs: list[str]) -> None:
    listed: list[dict[str, Any]] = json.loads(project.run("models", "list", "--json"))
    assert {row["run"] for row in listed} == set(runs) and len(set(runs)) == len(NAMES) + 1
    for name, run in zip((*NAMES, b"a song"), runs, strict=True):
        assert json.loads(project.run("models", "show", "--json", "--", name))["champion"]["run"] == run
        assert json.loads(project.run("sample", b"champion:" + name, "--length", "5", "--json"))["run"] == run


def test_mlflow_has_an_experiment_and_a_model_for_each(project: Project, runs: list[str]) -> None:
    with closing(sqlite3.connect(project.folder / ".charpipe" / "mlflow" / "mlflow.db")) as database:
        count = "select count(*) from {} where name != 'Default'"
        found = [
            database.execute(count.format(table)).fetchone()[0]
            for table in ("experiments", "registered_models")
        ]
    assert found == [len(runs), len(runs)]


def test_commands_about_runs_take_such_names(project: Project, runs: list[str]) -> None:
    odd = os.fsdecode(NAMES[0])
    project.run("evaluate", runs[0], "./" + odd)
    project.run("inspect", runs[0], "./" + odd)
    project.run("report", runs[1])
    project.run("runs", "compare", *runs)
    project.run("corpora", "show", "--", NAMES[2])
    project.run("gc")


def test_nothing_is_written_beside_the_project(project: Project, runs: list[str]) -> None:
    assert [path.name for path in project.folder.parent.iterdir()] == [project.folder.name]
    made = {path.name for path in project.folder.iterdir()}
    assert made - {os.fsdecode(name) for name in NAMES} <= {"pipelines.toml", "s.abc", ".charpipe"}
