"""Skipping is decided by content alone; two builders of the same thing build it once; damage is noticed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from charpipe.errors import StoreError
from charpipe.store import Action, Store, digest_of_json, digest_of_package
from waiting import LIMIT

ACTION = Action("vocabulary", 1, {"documents": "d1"}, {"min_count": 1}, {"char": "c1"})


def maker(calls: list[int], text: str = "abc"):
    def make(folder: Path) -> dict[str, int]:
        calls.append(1)
        (folder / "vocabulary.json").write_text(text)
        return {"size": len(text)}

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_what_is_done_is_not_done_again(store: Store) -> None:
    calls: list[int] = []
    first = store.build(ACTION, maker(calls), "hello")
    again = store.build(ACTION, maker(calls), "hello")
    assert len(calls) == 1
    assert (first.reused, again.reused) == (False, True)
    assert again.digest == first.digest
    assert again.facts == {"size": 3}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (replace(ACTION, settings={"min_count": 2}), "min_count 1 -> 2"),
        (replace(ACTION, inputs={"documents": "d2"}), "documents changed"),
        (replace(ACTION, code={"char": "c2"}), "char code changed"),
        (replace(ACTION, version=2), "stage version 1 -> 2"),
    ],
)
def test_each_thing_an_outcome_depends_on_makes_it_run_again(store: Store, changed: Action, why: str) -> None:
    calls: list[int] = []
    assert store.build(ACTION, maker(calls), "hello").why == "first time"
    assert store.build(changed, maker(calls), "hello").why == why
    assert len(calls) == 2


def test_equal_content_is_one_object(store: Store) -> None:
    calls: list[int] = []
    one = store.build(ACTION, maker(calls), "hello")
    other = store.build(replace(ACTION, settings={"min_count": 2}), maker(calls), "hello")
    assert one.digest == other.digest


def test_force_does_it_anew(store: Store) -> None:
    calls: list[int] = []
    store.build(ACTION, maker(calls), "hello")
    assert store.build(ACTION, maker(calls), "hello", force=True).why == "forced"
    assert len(calls) == 2


@pytest.mark.parametrize("damage", ["remove", "truncate", "flip", "manifest"])
def test_a_damaged_object_is_made_again(store: Store, damage: str) -> None:
    calls: list[int] = []
    built = store.build(ACTION, maker(calls), "hello")
    file = built.path / "vocabulary.json"
    if damage == "remove":
        file.unlink()
    elif damage == "truncate":
        file.write_text("ab")
    elif damage == "flip":
        file.write_text("abd")
    else:
        (built.path / "manifest.json").write_text("{")
    again = store.build(ACTION, maker(calls), "hello")
    assert not again.reused
    assert (again.path / "vocabulary.json").read_text() == "abc"


def test_file_times_do_not_count(store: Store) -> None:
    calls: list[int] = []
    built = store.build(ACTION, maker(calls), "hello")
    os.utime(built.path / "vocabulary.json", (1, 1))
    assert store.build(ACTION, maker(calls), "hello").reused


def test_a_failed_stage_leaves_nothing_behind(store: Store) -> None:
    def fail(folder: Path) -> dict[str, int]:
        (folder / "half").write_text("x")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left on device"):
        store.build(ACTION, fail, "hello")
    assert list((store.root / "making").iterdir()) == []
    assert store.find(ACTION) is None


def test_a_moved_store_still_works(store: Store, tmp_path: Path) -> None:
    calls: list[int] = []
    store.build(ACTION, maker(calls), "hello")
    moved = store.root.rename(tmp_path / "elsewhere")
    assert Store(moved).build(ACTION, maker(calls), "hello").reused


BUILDER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from charpipe.store import Action, Store

    def make(folder):
        print("making", flush=True)
        while not Path(sys.argv[2]).exists():
            time.sleep(0.05)
        (folder / "file").write_text("x")
        return {}

    said = lambda holder: print("waiting for", holder, flush=True)
    built = Store(Path(sys.argv[1])).build(Action("encode", 1), make, "hello", on_wait=said)
    print("reused" if built.reused else "made", flush=True)
    """
)


def builder(store: Store, go_on: Path) -> subprocess.Popen[str]:
    """A process that builds, and whose work goes on until there is a file `go_on`."""
    command = [sys.executable, "-c", BUILDER, str(store.root), str(go_on)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def builder_after(first: subprocess.Popen[str], store: Store, go_on: Path) -> subprocess.Popen[str]:
    """Another such process, once the first is at work."""
    assert first.stdout is not None
    assert first.stdout.readline() == "making\n"
    return builder(store, go_on)


def test_two_processes_build_once_and_the_wait_names_the_holder(store: Store, tmp_path: Path) -> None:
    with (
        builder(store, tmp_path / "go on") as first,
        builder_after(first, store, tmp_path / "go on") as second,
    ):
        assert second.stdout is not None
        assert second.stdout.readline().startswith(f"waiting for process {first.pid} (-c")
        (tmp_path / "go on").touch()
        assert first.communicate(timeout=LIMIT)[0] == "made\n"
        assert second.communicate(timeout=LIMIT)[0] == "reused\n"


def test_a_crash_frees_the_lock(store: Store, tmp_path: Path) -> None:
    with builder(store, tmp_path / "never") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "making\n"
        first.send_signal(signal.SIGKILL)
    assert builder(store, tmp_path).communicate(timeout=LIMIT)[0] == "making\nmade\n"


def test_the_digest_of_a_package_is_that_of_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "digested"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = digest_of_package("digested")
    os.utime(package / "model.py", (1, 1))
    (package / "notes.txt").write_text("not code")
    assert digest_of_package("digested") == before
    (package / "model.py").write_text("x = 2\n")
    assert digest_of_package("digested") != before


def test_canonical_json_does_not_depend_on_order() -> None:
    assert digest_of_json({"a": 1, "b": [1, 2]}) == digest_of_json(json.loads('{"b": [1, 2], "a": 1}'))
    with pytest.raises(ValueError, match="JSON compliant"):
        digest_of_json(float("nan"))
