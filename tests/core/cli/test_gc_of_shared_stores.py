"""`charpipe gc` pushes what is not pushed yet, and collects in the shared store too."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from charpipe.cli import main
from charpipe.store import Action
from charpipe.store.backends.folder import open_folder
from store_machines import Flaky, Machine

ACTION = Action("vocabulary", 1, {"documents": "d" * 64}, {"min_count": 1})


@pytest.fixture
def team(project: Path) -> Path:
    folder = project.parent / "team"
    (project / "pipelines.toml").write_text(f'[store]\nurl = "{folder.as_uri()}"\n')
    return folder


def machine(project: Path, team: Path, *, is_down: bool = False) -> Machine:
    backend = Flaky(open_folder(team.as_uri()))
    backend.is_down = is_down
    return Machine(project / ".charpipe" / "store", backend)


def make(text: str):
    def made(folder: Path) -> dict[str, int]:
        (folder / "file").write_text(text)
        return {}

    return made


def test_gc_pushes_what_is_not_pushed(project: Path, team: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = machine(project, team, is_down=True).store.build(ACTION, make("a"), "hello")
    assert main(["gc", "--dry-run"]) == 0
    assert not (team / "objects").exists()
    assert main(["gc"]) == 0
    assert "pushed 1 result of earlier commands to file:///" in capfd.readouterr().err
    assert (team / "objects" / made.digest / "manifest.json").is_file()


def test_gc_removes_from_both_stores(project: Path, team: Path, capfd: pytest.CaptureFixture[str]) -> None:
    old = machine(project, team).store.build(ACTION, make("old"), "hello")
    new = machine(project, team).store.build(replace(ACTION, version=2), make("new"), "hello")
    for root in (team, project / ".charpipe"):
        for path in root.rglob("*"):
            os.utime(path, (1_600_000_000, 1_600_000_000))
    capfd.readouterr()
    assert main(["gc", "--json"]) == 0
    removed = json.loads(capfd.readouterr().out)["removed"]
    paths = [one["path"] for one in removed if old.digest in one["path"]]
    assert sorted(paths) == [f"{team.as_uri()}/objects/{old.digest}", f"store/objects/{old.digest}"]
    assert new.path.is_dir() and (team / "objects" / new.digest / "manifest.json").is_file()
    assert main(["gc"]) == 0
    assert "There is nothing to remove." in capfd.readouterr().out


@pytest.mark.parametrize("command", ["gc", "gc --dry-run", "runs sync", "doctor"])
def test_store_that_is_not_there_any_more_is_named_and_not_made(
    project: Path, team: Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    machine(project, team).store.build(ACTION, make("a"), "hello")
    team.rename(team.with_name("elsewhere"))
    assert main(command.split()) == 1
    said = capfd.readouterr()
    told = said.out if command == "doctor" else said.err
    assert " ".join(told.split()).count("is not there any more; mount it") == 1
    assert command == "doctor" or told.count("\n") == 1
    assert not team.exists()


def test_url_with_a_password_is_refused_without_showing_it(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["gc", "--set", "store.url=s3://me:hunter2@bucket/x"]) == 2
    (project / "pipelines.toml").write_text('[store]\nurl = "s3://me:hunter2@bucket/x"\n')
    assert main(["config", "show"]) == 2
    shown = capfd.readouterr()
    assert "hunter2" not in shown.err + shown.out
    assert "give credentials in the environment" in shown.err
    logs = project / ".charpipe" / "logs" / "charpipe.log"
    assert not logs.exists() or "hunter2" not in logs.read_text()
