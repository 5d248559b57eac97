"""A collection in a shared store removes what no machine uses, and nothing that one does."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charpipe.config.settings.retention import RetentionConfig
from charpipe.errors import CharpipeError, LostLeaseError
from charpipe.retention.removal import Removed
from charpipe.retention.shared_store import collect_shared
from charpipe.store import Action
from charpipe.store.backends.folder import open_folder
from charpipe.store.leases import hold
from store_machines import Flaky, Machine

NOTHING_KEPT = RetentionConfig(keep_days=0, grace_hours=0)
LONG_AGO = 1_600_000_000
ACTION = Action("vocabulary", 1, {"documents": "d" * 64}, {"min_count": 1})


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def backend(shared: Path) -> Flaky:
    return Flaky(open_folder(shared.as_uri()))


@pytest.fixture
def digests(tmp_path: Path, backend: Flaky, shared: Path) -> list[str]:
    """Three versions of an object, oldest first, unused for years."""
    machine = Machine(tmp_path / "a", backend)
    made = []
    for number in range(3):

        def make(folder: Path, number: int = number) -> dict[str, int]:
            (folder / "file").write_text(f"version {number}")
            return {}

        made.append(
            machine.store.build(replace(ACTION, settings={"min_count": number}), make, "hello").digest
        )
    age(shared)
    return made


def age(shared: Path) -> None:
    for path in shared.rglob("*"):
        if path.is_file():
            os.utime(path, (LONG_AGO, LONG_AGO))


def objects(shared: Path) -> set[str]:
    return {path.parent.name for path in shared.glob("objects/*/manifest.json")}


def collect(backend: Any, policy: RetentionConfig = NOTHING_KEPT, **more: Any) -> list[Removed]:
    return collect_shared(backend, policy, 600.0, **more)


def test_the_newest_of_each_corpus_stays_and_older_ones_go(
    backend: Flaky, shared: Path, digests: list[str], tmp_path: Path
) -> None:
    removed = collect(backend, RetentionConfig())
    assert objects(shared) == {digests[2]}
    gone = [one.path for one in removed if one.kind == "object"]
    assert gone == [f"{backend.url}/objects/{digest}" for digest in sorted(digests[:2])]
    assert all(one.bytes > 0 for one in removed)
    assert len(list(shared.glob("leases/actions/*"))) == 1
    assert len(list(shared.glob("actions/*"))) == len(list(shared.glob("marks/*"))) == 1
    assert len(list(shared.glob("index/stages/*/*/*"))) == len(list(shared.glob("index/objects/*/*"))) == 1
    assert not [path for path in shared.glob("objects/*") if path.name != digests[2]]
    b = Machine(tmp_path / "b", backend)
    assert b.store.find(ACTION) is None
    assert b.store.find(replace(ACTION, settings={"min_count": 2})) is not None
    assert not b.warnings()


def test_dry_run_says_the_same_and_touches_nothing(backend: Flaky, shared: Path, digests: list[str]) -> None:
    before = {path: path.read_bytes() for path in shared.rglob("*.json")}
    would = collect(backend, dry_run=True)
    assert {path: path.read_bytes() for path in shared.rglob("*.json")} == before
    assert would == collect(backend)
    assert len(would) >= 2


def test_what_was_used_lately_stays(backend: Flaky, shared: Path, digests: list[str], tmp_path: Path) -> None:
    b = Machine(tmp_path / "b", backend)
    assert b.store.find(replace(ACTION, settings={"min_count": 0})) is not None
    collect(backend, RetentionConfig())
    assert objects(shared) == {digests[0], digests[2]}


def test_runs_and_champions_keep_what_they_were_made_of(
    backend: Flaky, shared: Path, digests: list[str]
) -> None:
    backend.create("runs/r1/run.json", json.dumps({"inputs": {"vocabulary": digests[0]}}).encode())
    backend.create(
        "champions/hello/champion.json", json.dumps({"champion": {"inputs": [digests[1]]}}).encode()
    )
    collect(backend)
    assert objects(shared) == set(digests)


def test_running_work_keeps_its_inputs(backend: Flaky, shared: Path, digests: list[str]) -> None:
    with hold(backend, "actions/other", 600.0, uses=[digests[0]]):
        collect(backend)
        assert objects(shared) == {digests[0], digests[2]}
    collect(backend)
    assert objects(shared) == {digests[2]}


@pytest.mark.parametrize("moment", ["before the manifest is deleted", "after it"])
def test_object_that_comes_into_use_meanwhile_is_kept(
    backend: Flaky, shared: Path, digests: list[str], tmp_path: Path, moment: str
) -> None:
    b = Machine(tmp_path / "b", open_folder(backend.url))
    used: list[bool] = []

    def use(name: str, key: str) -> None:
        is_moment = name == "read" and key == f"marks/{digests[0]}"
        if is_moment and (moment == "after it") == (digests[0] not in objects(shared)) and not used:
            used.append(True)
            b.store.find(replace(ACTION, settings={"min_count": 0}))

    backend.before = use
    collect(backend)
    assert used == [True]
    assert objects(shared) == {digests[0], digests[2]}
    assert Machine(tmp_path / "c", backend).store.find(replace(ACTION, settings={"min_count": 0})) is not None


def test_one_machine_collects_at_a_time(backend: Flaky, digests: list[str], shared: Path) -> None:
    with (
        hold(backend, "gc", 600.0),
        pytest.raises(CharpipeError, match=r"process \d+ on .* is collecting in file:"),
    ):
        collect(backend)
    assert objects(shared) == set(digests)


def test_collector_that_was_overtaken_deletes_nothing_more(
    backend: Flaky, digests: list[str], shared: Path
) -> None:
    def overtake(name: str, key: str) -> None:
        if name == "list" and key == "marks/":
            backend.before = None
            stored = backend.inner.read("leases/gc.json")
            assert stored is not None
            other = json.loads(stored.data) | {"nonce": "other", "fence": 2}
            backend.inner.replace("leases/gc.json", json.dumps(other).encode(), stored.version)
            for lease in leases:
                lease._since -= 1e6

    from charpipe.store import leases as module

    leases: list[Any] = []
    original = module.Lease.__init__

    def remember(self: Any, *words: Any) -> None:
        original(self, *words)
        leases.append(self)

    backend.before = overtake
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Lease, "__init__", remember)
        with pytest.raises(LostLeaseError):
            collect(backend)
    assert objects(shared) == set(digests)


def test_what_killed_processes_left_goes_after_a_day(
    backend: Flaky, shared: Path, digests: list[str]
) -> None:
    left = [
        "objects/" + "e" * 64 + "/file",
        "probes/x",
        "clocks/y",
        ".temporary/z",
        "leases/actions/" + "e" * 64 + ".json",
    ]
    for key in left:
        (shared / key).parent.mkdir(parents=True, exist_ok=True)
        (shared / key).write_text("left")
    collect(backend)
    assert all((shared / key).exists() for key in left)
    age(shared)
    collect(backend)
    assert not [key for key in left if (shared / key).exists()]
    assert objects(shared) == {digests[2]}


def test_records_of_a_vanished_object_go(backend: Flaky, shared: Path, digests: list[str]) -> None:
    import shutil

    shutil.rmtree(shared / "objects" / digests[0])
    removed = collect(backend, RetentionConfig(keep_days=36_500))
    assert [one.kind for one in removed] == ["record", "leftover"]
    assert {path.name for path in shared.glob("marks/*")} == set(digests[1:])
    assert len(list(shared.glob("actions/*"))) == 2


def test_local_collection_keeps_what_is_not_pushed(tmp_path: Path, backend: Flaky, shared: Path) -> None:
    from charpipe.retention import collect as collect_here
    from charpipe.workspace import Workspace

    workspace = Workspace(tmp_path / "w")

    def make(number: int):
        def made(folder: Path) -> dict[str, int]:
            (folder / "file").write_text(f"version {number}")
            return {}

        return made

    machine = Machine(workspace.store, backend)
    pushed = machine.store.build(ACTION, make(1), "hello")
    backend.is_down = True
    unpushed = machine.store.build(replace(ACTION, version=2), make(2), "hello")
    newest = machine.store.build(replace(ACTION, version=3), make(3), "hello")
    age(workspace.root)
    collect_here(workspace, NOTHING_KEPT)
    assert {path.name for path in workspace.store.glob("objects/*")} == {unpushed.digest, newest.digest}
    assert not pushed.path.exists()
    backend.is_down = False
    b = Machine(tmp_path / "b", backend)
    assert b.store.find(ACTION) is not None
    assert Machine(workspace.store, backend).store.find(ACTION) is not None
