"""A machine may die, stop for a while, or lose the store before any of its calls: afterwards everything is whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from charpipe.errors import LostLeaseError
from charpipe.store import Action
from charpipe.store.backends.folder import open_folder
from charpipe.store.manifest import read_manifest
from store_machines import Flaky, Machine

ACTION = Action("vocabulary", 1, {"documents": "d" * 64}, {"min_count": 1})
LONG_AGO = 1_600_000_000


class Died(BaseException):
    """The process is gone: from here on it calls nothing."""


def make(folder: Path) -> dict[str, int]:
    (folder / "one").write_text("one")
    (folder / "two").write_text("two")
    return {"size": 2}


def stop_at(backend: Flaky, number: int, how: str) -> None:
    """Let the machine die, or the store vanish, at the backend's call of this number."""
    backend.calls.clear()

    def before(name: str, key: str) -> None:
        if len(backend.calls) > number:
            if how == "died":
                raise Died
            backend.is_down = True

    backend.before = before


def expire_leases(shared: Path) -> None:
    for path in shared.glob("leases/**/*.json"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def check(shared: Path) -> None:
    """What is in the shared store is whole: a record has its object, an object its files."""
    for path in shared.glob("objects/*/manifest.json"):
        assert read_manifest(path.parent).check(path.parent, thorough=True) is None
    if list(shared.glob("actions/*")) or list(shared.glob("index/*/*/*")):
        assert list(shared.glob("objects/*/manifest.json"))
    if list(shared.glob("index/*/*/*")):
        assert list(shared.glob("actions/*"))


def attempt(folder: Path, how: str, number: int, *, pulls: bool) -> bool:
    """Build, or pull, with a stop at one call, and then go on; returns whether there was such a call."""
    shared = folder / "shared"
    backend = Flaky(open_folder(shared.as_uri()))
    if pulls:
        Machine(folder / "first", open_folder(shared.as_uri())).store.build(ACTION, make, "hello")
    stop_at(backend, number, how)
    with suppress(Died):
        Machine(folder / "a", backend).store.build(ACTION, make, "hello")
    is_reached = len(backend.calls) > number
    backend.before, backend.is_down = None, False
    check(shared)
    expire_leases(shared)
    again = Machine(folder / "a", backend)
    built = again.store.build(ACTION, make, "hello")
    assert read_manifest(built.path).check(built.path, thorough=True) is None
    assert not again.warnings()
    check(shared)
    other = Machine(folder / "b", backend)
    assert other.store.build(ACTION, make, "hello").reused
    assert not other.warnings()
    assert not list((folder / "a").glob("shared/*/unpushed/*"))
    return is_reached


def try_all(folder: Path, how: str, *, pulls: bool) -> int:
    number = 0
    while attempt(folder / f"{number}", how, number, pulls=pulls):
        number += 1
    return number


def test_machine_that_dies_while_it_builds(tmp_path: Path) -> None:
    assert try_all(tmp_path, "died", pulls=False) > 20


def test_store_that_vanishes_while_a_machine_builds(tmp_path: Path) -> None:
    assert try_all(tmp_path, "vanished", pulls=False) > 20


def test_machine_that_dies_while_it_pulls(tmp_path: Path) -> None:
    assert try_all(tmp_path, "died", pulls=True) > 5


def test_store_that_vanishes_while_a_machine_pulls(tmp_path: Path) -> None:
    assert try_all(tmp_path, "vanished", pulls=True) > 5


def make_other(folder: Path) -> dict[str, int]:
    (folder / "one").write_text("the other machine's")
    return {"size": 1}


def overtake_at(folder: Path, number: int, *, force: bool) -> bool:
    """Let machine A stop before one of its calls, for so long that B takes over and finishes; then A goes on. Returns
    whether there was such a call."""
    shared, found, owned = folder / "shared", [], []
    backend = Flaky(open_folder(shared.as_uri()))
    if force:
        Machine(folder / "first", backend).store.build(ACTION, make, "hello")
    a = Machine(folder / "a", backend)
    backend.calls.clear()

    def stop(name: str, key: str) -> None:
        if len(backend.calls) > number and not found:
            expire_leases(shared)
            b = Machine(folder / "b", open_folder(shared.as_uri()))
            found.append(b.store.build(ACTION, make_other, "hello", force=force))
            owned.append(bool(a.connection.leases))
            for lease in a.connection.leases.values():
                lease._since -= 1e6

    backend.before = stop
    with suppress(LostLeaseError):
        a.store.build(ACTION, make, "hello", force=force)
    if found:
        c = Machine(folder / "c", open_folder(shared.as_uri()))
        holds = c.store.build(ACTION, make, "hello").digest
        assert holds == found[0].digest or (force and not owned[0]), number  # A forced it anew, after B
        for note in (folder / "a").glob("shared/*/used-*/*"):
            note.unlink()  # it is asked again whether this is the result that holds
        assert Machine(folder / "a", backend).store.build(ACTION, make, "hello").digest == holds
    check(shared)
    return bool(found)


@pytest.mark.parametrize("force", [False, True])
def test_machine_that_is_overtaken_while_it_builds(tmp_path: Path, force: bool) -> None:
    number = 0
    while overtake_at(tmp_path / f"{number}", number, force=force):
        number += 1
    assert number > 20
