"""Runs of the shared store by what a user types, and what is fetched for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import pytest

from charpipe.errors import RunError, UsageError
from charpipe.runs import Run
from charpipe.runs.mirror.layout import is_plain_name
from run_machines import Machine, train_and_score

Machines = Callable[[str], Machine]


@pytest.fixture
def trained(machine: Machines) -> tuple[Machine, str]:
    """A machine that has nothing, and the name of a run in the store."""
    a = machine("a")
    run = train_and_score(a.context()).run
    shutil.rmtree(a.root)
    return machine("b"), run


def test_every_way_of_naming_a_run_finds_it(trained: tuple[Machine, str]) -> None:
    b, name = trained
    short = name.rpartition("-")[2]
    for wanted in (name, name[:-2], short, f"lstm 2x8 · {short}", "last", "best:mine.txt"):
        shutil.rmtree(b.root, ignore_errors=True)
        library = b.context().runs
        assert library.find(wanted, use="model").name == name, wanted
        assert not list(b.run(name).checkpoints.glob("step-*")), wanted
    assert library.find("last", use="model", checkpoint="best").checkpoint("best").is_dir()


def test_unknown_run_is_an_error_that_names_the_store(trained: tuple[Machine, str]) -> None:
    b, _ = trained
    with pytest.raises(UsageError, match="nor in file://"):
        b.context().runs.find("no-such-run")


def test_lost_store_leaves_the_runs_of_the_workspace(trained: tuple[Machine, str]) -> None:
    b, name = trained
    b.context().runs.find(name, checkpoint="best")
    b.backend.is_lost = True
    context = b.context()
    assert context.runs.find("last", use="model", checkpoint="best").name == name
    assert [run.name for run in context.runs.all()] == [name]
    assert len(b.warnings()) == 1


def test_hostile_names_in_the_index_become_no_folders(trained: tuple[Machine, str]) -> None:
    b, name = trained
    for bad in ("..", "a b\x1b[2J", ".hidden"):
        (b.store / "index" / "runs" / f"{bad}.json").write_text("{}")
    assert [run.name for run in b.context().runs.all()] == [name]
    assert not is_plain_name("../x") and not is_plain_name("") and not is_plain_name("x" * 300)


def test_status_cannot_point_out_of_the_run_folder(trained: tuple[Machine, str]) -> None:
    b, name = trained
    file = b.store / "runs" / name / "attempt-1" / "status.json"
    status = json.loads(file.read_text())
    status["best"]["path"] = "../../../../etc"
    file.write_text(json.dumps(status))
    found = b.context().runs.find(name, checkpoint="best")
    assert found.checkpoint("best").parent == found.checkpoints


def test_manifest_cannot_name_files_outside(trained: tuple[Machine, str]) -> None:
    b, name = trained
    (manifest,) = (b.store / "runs" / name / "attempt-1" / "checkpoints").glob("step-00000024/manifest.json")
    value = json.loads(manifest.read_text())
    value["files"]["../../../evil"] = value["files"]["state.json"]
    manifest.write_text(json.dumps(value))
    with pytest.raises(RunError, match="not intact"):
        b.context().runs.find(name, checkpoint="last")
    assert not list(b.root.rglob("evil*"))


def test_run_of_a_store_is_not_pushed_to_another(trained: tuple[Machine, str], machine: Machines) -> None:
    b, name = trained
    b.context().runs.find(name)
    other = machine("b")
    other.store = b.store.with_name("another store")
    other.__post_init__()
    library = other.context().runs
    assert list(library.push(library.trained_here())) == []
    assert not (other.store / "runs").exists()


def test_running_means_a_lease_that_has_not_expired(trained: tuple[Machine, str]) -> None:
    from charpipe.store.leases import acquire

    b, name = trained
    file = b.store / "runs" / name / "attempt-1" / "status.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "state": "running"}))
    lease = acquire(b.backend, f"runs/{name}", 60.0)
    assert b.context().runs.find(name).status.state == "running"
    lease.release()
    assert b.context().runs.find(name).status.state == "interrupted"
    assert isinstance(b.run(name), Run)
