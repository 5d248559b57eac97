"""Housekeeping removes what nothing refers to, and nothing else, whoever is at work meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from charpipe import champions, stages
from charpipe.champions.state import champion_folder
from charpipe.cli import main
from charpipe.errors import CharpipeError, RunError
from charpipe.retention import RetentionConfig, collect
from charpipe.runs import list_runs
from charpipe.stages import Context, TrainRequest
from charpipe.store import Store
from charpipe.workspace import Workspace

STRICT = RetentionConfig(keep_runs=1, keep_days=0, keep_versions=1, grace_hours=1)


def train(context: Context, corpus: str = "mine.txt", promote: bool = False) -> str:
    documents = stages.ingest(context, corpus)
    vocabulary = stages.learn_vocabulary(context, corpus, documents)
    tokens = stages.encode(context, corpus, documents, vocabulary)
    trained = stages.train(context, TrainRequest(corpus, "rnn"), tokens, vocabulary)
    stages.evaluate(context, trained, tokens)
    if promote:
        assert stages.promote(context, trained, tokens, anyway=True).promoted
    return trained.run


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves a copy of its workspace for the others."""
    return tmp_path_factory.mktemp("retention") / "built"


@pytest.fixture
def workspace(open_context, project: Path, built: Path) -> Workspace:
    """Three versions of a corpus, each with a run: the first is champion, the third the best, the second nothing;
    all of it a year old."""
    found: Workspace = open_context().workspace
    if built.is_dir():
        shutil.copytree(built, found.root)
        shutil.copyfile(built.parent / "mine.txt", project / "mine.txt")
    else:
        for number in range(3):
            (project / "mine.txt").write_text(f"the {number} brown fox jumps over the lazy dog. " * 40)
            train(open_context(train__steps=2 + number), promote=number == 0)
        for run, score in zip(list_runs(found.runs), (3.0, 4.0, 2.0), strict=True):
            run.update(metrics={"val/bits_per_char": score})
        shutil.copytree(found.root, built)
        shutil.copyfile(project / "mine.txt", built.parent / "mine.txt")
    age(found.root)
    return found


def age(root: Path, days: float = 365) -> None:
    then = time.time() - days * 86400
    for path in root.rglob("*"):
        os.utime(path, (then, then))


def tree(root: Path) -> dict[str, Any]:
    """All files and when they were written, without the collector's own lock."""
    return {str(p): p.stat().st_mtime for p in sorted(root.rglob("*")) if p.is_file() and p.name != "gc.lock"}


def test_what_is_referred_to_stays_whole_and_the_rest_goes(workspace: Workspace, open_context) -> None:
    first, second, third = list_runs(workspace.runs)
    store = Store(workspace.store)
    inputs = [set(run.info.inputs.values()) for run in (first, second, third)]
    removed = collect(workspace, STRICT)
    assert [run.name for run in list_runs(workspace.runs)] == [first.name, third.name]
    assert all(store.object(digest).is_dir() for digest in inputs[0] | inputs[2])
    only_second = inputs[1] - inputs[0] - inputs[2]
    assert only_second
    assert not any(store.object(digest).exists() for digest in only_second)
    subjects = {r["subject"] for _, r in store.records() if r["action"]["stage"] == "baselines"}
    assert subjects == {"./mine.txt"}  # so the newest of the corpus stays, not one of each of its versions
    assert {one.kind for one in removed} == {"run", "object", "leftover"}
    assert champions.champion(workspace, "./mine.txt").run == first.name  # type: ignore[union-attr]
    assert all(one.bytes >= 0 for one in removed)
    assert collect(workspace, STRICT) == []


def test_after_collecting_the_same_command_finds_its_work_done(
    workspace: Workspace, open_context, heard
) -> None:
    from charpipe.events import StageStarted

    third = list_runs(workspace.runs)[-1].name
    collect(workspace, STRICT)
    heard.clear()
    assert train(open_context(train__steps=4)) == third
    assert heard.of(StageStarted) == []


def test_a_dry_run_touches_nothing_and_says_the_same(workspace: Workspace) -> None:
    before = tree(workspace.root)
    said = collect(workspace, STRICT, dry_run=True)
    assert tree(workspace.root) == before
    assert {one.kind for one in said} >= {"run", "object"}
    assert said == [one for one in collect(workspace, STRICT) if one in said]


def test_the_default_policy_and_the_grace_time_keep_everything_young(workspace: Workspace) -> None:
    assert [one for one in collect(workspace, RetentionConfig()) if one.kind == "run"] == []
    age(workspace.root, days=0.01)
    assert collect(workspace, STRICT) == []


def test_an_interrupted_or_busy_run_stays(workspace: Workspace) -> None:
    second = list_runs(workspace.runs)[1]
    second.update(state="interrupted")
    age(workspace.root)
    assert not [one for one in collect(workspace, STRICT) if one.kind == "run"]
    second.update(state="finished")
    age(workspace.root)
    with second.lock():
        assert not [one for one in collect(workspace, STRICT) if one.kind == "run"]


def test_where_an_unfinished_run_begins_stays(workspace: Workspace) -> None:
    _, second, third = list_runs(workspace.runs)
    path = workspace.relative(second.checkpoint())
    info = json.loads((third.folder / "run.json").read_text())
    info["facts"]["start"] = {"run": second.name, "path": path, "checkpoint": "x", "offset": 0}
    (third.folder / "run.json").write_text(json.dumps(info))
    third.update(state="interrupted")
    age(workspace.root)
    collect(workspace, STRICT)
    assert (workspace.root / path).is_dir()
    third.update(state="finished")
    age(workspace.root)
    collect(workspace, STRICT)
    assert not (workspace.root / path).exists()


def one_to_go(workspace: Workspace) -> tuple[Path, Path]:
    """An object that would be removed, behind the record of what made it."""
    store = Store(workspace.store)
    going = {Path(one.path).name for one in collect(workspace, STRICT, dry_run=True) if one.kind == "object"}
    path, record = next((path, record) for path, record in store.records() if record["object"] in going)
    return path, store.object(record["object"])


def test_an_object_that_is_used_just_now_comes_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = one_to_go(workspace)
    rename = Path.rename

    def rename_while_it_is_used(self: Path, target: Path) -> Path:
        if self == folder:
            os.utime(path)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_while_it_is_used)
    removed = [one.path for one in collect(workspace, STRICT)]
    assert removed
    assert workspace.relative(folder) not in removed
    assert folder.is_dir()


def test_an_object_that_is_made_again_while_it_goes_is_left_to_its_maker(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = one_to_go(workspace)
    left = workspace.store / "making" / f".going-{folder.name}"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    left.mkdir(parents=True)  # by a collection that was killed
    (left / "half").touch()
    rename = Path.rename

    def rename_while_it_is_made_again(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if self == folder:
            shutil.copytree(target, folder)
            os.utime(path)
        return moved

    monkeypatch.setattr(Path, "rename", rename_while_it_is_made_again)
    removed = [one.path for one in collect(workspace, STRICT)]
    assert workspace.relative(folder) not in removed
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert not left.exists()


def test_leftovers_of_killed_processes_go(workspace: Workspace) -> None:
    run = list_runs(workspace.runs)[0]
    left = [
        workspace.store / "making" / "encode-xyz" / "train.npy",
        run.checkpoints / ".saving-abc" / "model.safetensors",
        run.folder / ".status.json.k2j",
        workspace.runs / "20200101-0000-x-rnn-0000" / "status.json",
        champion_folder(workspace, "./mine.txt") / "versions" / ".keeping-abc" / "version.json",
        workspace.store / "locks" / f"{'0' * 64}.lock",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    for path in workspace.store.glob("locks/*.lock"):
        os.utime(path)
    assert not [one for one in collect(workspace, STRICT) if one.kind == "leftover"]
    age(workspace.root)
    collect(workspace, STRICT)
    assert not any(path.exists() for path in left)
    assert len(list_runs(workspace.runs)) >= 2


def test_a_model_beyond_the_policy_goes_but_neither_champion_nor_previous(
    workspace: Workspace, open_context
) -> None:
    for number in range(3):
        train(open_context(train__steps=5 + number), promote=True)
    folder = champion_folder(workspace, "./mine.txt") / "versions"
    (folder / "0099").mkdir()
    (folder / "0099" / "version.json").write_text("{}")
    age(workspace.root)
    removed = {one.path: one.why for one in collect(workspace, STRICT) if one.kind == "model"}
    assert removed == {
        "champions/%2E%2Fmine.txt/versions/0001": "beyond the models that are kept",
        "champions/%2E%2Fmine.txt/versions/0002": "beyond the models that are kept",
        "champions/%2E%2Fmine.txt/versions/0099": "never became champion",
    }
    assert [version.version for version in champions.versions(workspace, "./mine.txt")] == [3, 4]
    assert champions.previous(workspace, "./mine.txt") is not None
    assert len(champions.decisions(workspace, "./mine.txt")) == 4


def test_a_version_that_the_audit_does_not_know_any_more_stays(workspace: Workspace, open_context) -> None:
    for number in range(2):
        train(open_context(train__steps=5 + number), promote=True)
    (champion_folder(workspace, "./mine.txt") / "audit.jsonl").write_text("damaged")
    age(workspace.root)
    assert not [one for one in collect(workspace, STRICT) if one.kind == "model"]


def test_what_stays_is_decided_while_nobody_can_roll_back(
    workspace: Workspace, open_context, monkeypatch: pytest.MonkeyPatch
) -> None:
    from charpipe.retention import collection

    for number in range(3):
        train(open_context(train__steps=5 + number), promote=True)
    age(workspace.root)
    deciding = collection.deciding

    def after_a_rollback(*arguments: Any) -> Any:
        monkeypatch.setattr(collection, "deciding", deciding)
        champions.roll_back(workspace, "./mine.txt", 2)
        age(workspace.root)
        return deciding(*arguments)

    monkeypatch.setattr(collection, "deciding", after_a_rollback)
    removed = [one.path for one in collect(workspace, STRICT) if one.kind == "model"]
    assert removed == []  # 1 is the previous champion now, 2 the champion; 3 and 4 were kept when it began
    assert champions.champion(workspace, "./mine.txt").version.version == 2  # type: ignore[union-attr]
    assert champions.previous(workspace, "./mine.txt").version.version == 1  # type: ignore[union-attr]


def test_with_a_damaged_record_of_a_champion_nothing_is_removed(workspace: Workspace) -> None:
    (champion_folder(workspace, "./mine.txt") / "champion.json").write_text("{")
    before = tree(workspace.root)
    with pytest.raises(RunError, match="nothing was removed"):
        collect(workspace, STRICT)
    assert tree(workspace.root) == before


def test_a_damaged_run_is_left_to_a_person(workspace: Workspace) -> None:
    run = list_runs(workspace.runs)[1]
    (run.folder / "run.json").write_text("{")
    age(workspace.root)
    collect(workspace, STRICT)
    assert run.folder.is_dir()


def test_one_collects_at_a_time(workspace: Workspace) -> None:
    holder = (
        "import sys, time; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]): print('held', flush=True); time.sleep(3600)"
    )
    words = [sys.executable, "-c", holder, str(workspace.store / "gc.lock")]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(CharpipeError, match="another process is collecting"):
            collect(workspace, STRICT)
        other.kill()
    assert collect(workspace, STRICT)


def test_the_command_says_what_was_freed(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    policy = [f"--set=retention.{key}={value}" for key, value in STRICT.model_dump().items()]
    assert main(["gc", "--dry-run", "--json", *policy]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["dry_run"] is True
    assert said["bytes"] == sum(one["bytes"] for one in said["removed"]) > 0
    assert main(["gc", *policy]) == 0
    assert "freed: " in capsys.readouterr().out
    assert main(["gc", *policy]) == 0
    assert "There is nothing to remove." in capsys.readouterr().out
    assert main(["gc", "--set", "retention.keep_runs=0"]) == 2


def test_a_run_takes_its_models_in_mlflow_with_it(open_context, project: Path) -> None:
    from charpipe.tracking import TrackingConfig, locate
    from charpipe.tracking.client import connect
    from charpipe.tracking.model_names import model_name

    for number in range(3):
        (project / "mine.txt").write_text(f"the {number} brown fox jumps over the lazy dog. " * 40)
        context = open_context(train__steps=2 + number, tracking__enabled=True, train__keep_checkpoints=1)
        train(context, promote=number == 0)
    workspace = context.workspace
    first, second, third = list_runs(workspace.runs)
    for run, score in ((first, 3.0), (second, 4.0), (third, 2.0)):
        run.update(metrics={"val/bits_per_char": score})
    age(workspace.root)
    folders = {path for path in workspace.mlflow.glob("artifacts/*/models/*/artifacts") if path.is_dir()}
    info = json.loads((third.folder / "run.json").read_text())
    start = {
        "run": second.name,
        "path": workspace.relative(second.checkpoint()),
        "checkpoint": "x",
        "offset": 0,
    }
    (third.folder / "run.json").write_text(json.dumps(info | {"facts": info["facts"] | {"start": start}}))
    third.update(state="interrupted")
    age(workspace.root)
    collect(workspace, STRICT, tracking=TrackingConfig())
    assert second.folder.is_dir()  # it is begun at, and keeps its models
    assert {p for p in workspace.mlflow.glob("artifacts/*/models/*/artifacts") if p.is_dir()} == folders
    third.update(state="finished")
    age(workspace.root)
    (gone,) = [one for one in collect(workspace, STRICT, tracking=TrackingConfig()) if one.kind == "run"]
    assert gone.path == f"runs/{second.name}"
    left = {path for path in workspace.mlflow.glob("artifacts/*/models/*/artifacts") if path.is_dir()}
    assert left < folders
    client = connect(locate(TrackingConfig(), workspace.mlflow))
    assert (
        client.get_model_version_by_alias(model_name("./mine.txt"), "champion").tags["charpipe.run"]
        == first.name
    )
    assert all(not (path / "model.safetensors").exists() or path in left for path in folders)
    for run in (first, third):
        models = client.search_logged_models(
            [run.status.mlflow["experiment_id"]],
            filter_string=f"source_run_id = '{run.status.mlflow['run_id']}'",
        )
        assert models
