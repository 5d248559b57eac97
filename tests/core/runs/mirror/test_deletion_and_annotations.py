"""Runs of a shared store are deleted for all machines, and names, notes and tags reach them."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from charpipe.cli.runs_list import place
from charpipe.config.settings.tracking import TrackingConfig
from charpipe.errors import InterruptedRun, RunError, StoreError, UsageError
from charpipe.retention.run_deletion import delete_runs
from charpipe.runs.annotations import read_annotations
from charpipe.runs.mirror.layout import lease_name
from charpipe.store.leases import Acquisition, Lease
from run_machines import Machine, stop_after, train

Machines = Callable[[str], Machine]
NONE = TrackingConfig(enabled=False)


@pytest.fixture
def a(machine: Machines) -> Machine:
    return machine("a")


@pytest.fixture
def run(a: Machine) -> str:
    """A run that machine a trained, with a tag."""
    return train(a.context(**{"tracking.tags": ["baseline"]})).run


def of_run(a: Machine, name: str) -> list[str]:
    keys = (str(path.relative_to(a.store)) for path in a.store.rglob("*") if path.is_file())
    return [key for key in keys if name in key and not key.startswith(("leases", "index/deleted-runs"))]


def test_another_machine_deletes_a_run_for_all(a: Machine, run: str, machine: Machines) -> None:
    b = machine("b")
    library = b.context().runs
    found = library.find(run)
    (planned,) = delete_runs(library, [found], NONE, dry_run=True)
    assert of_run(a, run)
    (deleted,) = delete_runs(library, [found], NONE)
    assert deleted.shared_bytes == planned.shared_bytes > 1000
    assert of_run(a, run) == []
    assert not b.run(run).folder.exists()
    with pytest.raises(UsageError, match="there is no run"):
        b.context().runs.find(run)
    assert a.context().runs.find(run).name == run  # its own folder stays


def test_a_deleted_run_does_not_come_back(a: Machine, run: str, machine: Machines) -> None:
    theirs = machine("b").context().runs
    c = machine("c").context().runs
    fetched = c.find(run, checkpoint="best")
    delete_runs(theirs, [theirs.find(run)], NONE)
    library = a.context().runs
    assert [(one.name, place(library, one)) for one in library.all()] == [(run, "here only")]
    assert [place(c, one) for one in c.all()] == ["here only"] and fetched.has_checkpoint()
    assert list(library.push(library.trained_here())) == []
    assert any("was deleted from" in notice and "--local" in notice for notice in a.notices())
    assert of_run(a, run) == []
    assert machine("b").context().runs.all() == []


def test_a_deleted_run_that_is_trained_further_is_shared_again(a: Machine, machine: Machines) -> None:
    with pytest.raises(InterruptedRun):
        train(stop_after(10, a.context()))
    theirs = machine("b").context().runs
    [interrupted] = theirs.all()
    delete_runs(theirs, [interrupted], NONE)
    library = a.context().runs
    assert train(a.context()).run == interrupted.name
    assert machine("b").context().runs.find(interrupted.name, checkpoint="last").status.state == "finished"
    assert place(library, library.find(interrupted.name)) == "here and in the store"
    assert list(library.push(library.trained_here())) == [f"{interrupted.name}  in {a.url}"]


def test_a_local_deletion_leaves_the_store(a: Machine, run: str) -> None:
    library = a.context().runs
    (deleted,) = delete_runs(library, [library.find(run)], NONE, local=True)
    assert deleted.shared_bytes == 0
    assert not a.run(run).folder.exists()
    found = a.context().runs.find(run, checkpoint="best")
    assert found.checkpoint("best").is_dir()


def test_a_run_that_another_machine_trains_is_not_deleted(a: Machine, run: str) -> None:
    context = a.context()
    connection = context.store.shared.connection
    lease = Acquisition(a.backend, lease_name(run), 60.0, clock=connection.clock).attempt()
    assert isinstance(lease, Lease)
    try:
        with pytest.raises(RunError, match="is being trained"):
            delete_runs(context.runs, [a.run(run)], NONE)
    finally:
        lease.release()
    assert a.run(run).folder.is_dir()
    assert of_run(a, run)


def test_without_the_store_nothing_is_deleted(a: Machine, run: str) -> None:
    library = a.context().runs
    a.backend.is_lost = True
    with pytest.raises(StoreError):
        delete_runs(library, [a.run(run)], NONE)
    assert a.run(run).folder.is_dir()


def test_an_interrupted_deletion_can_be_repeated(a: Machine, run: str) -> None:
    shutil.rmtree(a.store / "runs" / run)
    library = a.context().runs
    delete_runs(library, [a.run(run)], NONE)
    assert of_run(a, run) == []


def test_names_notes_and_tags_reach_other_machines(a: Machine, run: str, machine: Machines) -> None:
    b = machine("b")
    theirs = b.context().runs
    assert read_annotations(theirs.find(run).folder).tags == {"baseline": ""}
    given = read_annotations(theirs.find(run).folder).changed(name="renamed", note="odd")
    theirs.annotate(theirs.find(run), given)
    assert read_annotations(a.context().runs.find(run).folder) == given
    assert machine("c").context().runs.find("renamed").name == run
