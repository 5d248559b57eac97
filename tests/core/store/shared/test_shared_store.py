"""Two machines and one shared store: what one has made, the other finds, and nobody writes what is not his."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import waiting
from charpipe.errors import LostLeaseError, StoreAccessError, StoreError
from charpipe.store import Action
from charpipe.store.backends import Backend
from charpipe.store.backends.folder import open_folder
from charpipe.store.shared.objects import DamagedObjectError, manifest_of
from store_machines import Flaky, Machine

ACTION = Action("vocabulary", 1, {"documents": "d1"}, {"min_count": 1}, {"char": "c1"})


def maker(calls: list[int], text: str = "abc"):
    def make(folder: Path) -> dict[str, int]:
        calls.append(1)
        (folder / "vocabulary.json").write_text(text)
        (folder / "more").mkdir()
        (folder / "more" / "file.bin").write_bytes(text.encode() * 1000)
        return {"size": len(text)}

    return make


@pytest.fixture
def backend(tmp_path: Path) -> Flaky:
    return Flaky(open_folder((tmp_path / "shared").as_uri()))


@pytest.fixture
def machine(tmp_path: Path, backend: Flaky):
    return lambda name, **more: Machine(tmp_path / name / "store", backend, **more)


def test_second_machine_finds_what_the_first_has_made(machine, tmp_path: Path) -> None:
    calls: list[int] = []
    a = machine("a")
    made = a.store.build(ACTION, maker(calls), "hello")
    shutil.rmtree(tmp_path / "a")
    b = machine("b")
    found = b.store.build(ACTION, maker(calls), "hello")
    assert len(calls) == 1
    assert (found.reused, found.digest, dict(found.facts)) == (True, made.digest, {"size": 3})
    assert (found.path / "more" / "file.bin").read_bytes() == b"abc" * 1000
    assert f"vocabulary: found in {b.shared.url}" in b.told()
    assert b.connection.pulled_bytes == 3003
    assert not list((tmp_path / "b" / "store" / "making").iterdir())


def test_local_result_is_not_asked_for_again(machine, backend: Flaky) -> None:
    machine("a").store.build(ACTION, maker([]), "hello")
    backend.calls.clear()
    again = machine("a").store.build(ACTION, maker([]), "hello")
    assert again.reused
    assert [name for name, _ in backend.calls] == ["read"]  # is it still the same store?


def test_result_from_before_the_store_was_shared_is_pushed_when_used(
    tmp_path: Path, backend: Flaky, machine
) -> None:
    from charpipe.store import Store

    Store(tmp_path / "a" / "store").build(ACTION, maker([]), "hello")
    assert machine("a").store.find(ACTION) is not None
    calls: list[int] = []
    assert machine("b").store.build(ACTION, maker(calls), "hello").reused
    assert not calls


def test_why_knows_the_last_action_of_another_machine(machine) -> None:
    machine("a").store.build(ACTION, maker([]), "hello")
    changed = replace(ACTION, settings={"min_count": 2})
    assert machine("b").store.why(changed, "hello") == "min_count 1 -> 2"
    assert machine("b").store.why(changed, "other") == "first time"


def test_record_of_an_object_is_known_on_other_machines(machine) -> None:
    made = machine("a").store.build(ACTION, maker([]), "hello")
    record = machine("b").store.made(made.digest)
    assert record is not None and record["action"] == ACTION.to_json()
    assert machine("b").store.made("0" * 64) is None


def test_dry_find_pulls_nothing(machine, tmp_path: Path) -> None:
    machine("a").store.build(ACTION, maker([]), "hello")
    b = machine("b")
    assert b.store.find(ACTION, pull=False) is None
    assert b.shared.find(ACTION) is not None
    assert not (tmp_path / "b" / "store" / "objects").exists()


@pytest.mark.parametrize("name", ["vocabulary.json", "more/file.bin", "manifest.json"])
@pytest.mark.parametrize("how", ["flip", "remove"])
def test_damaged_object_is_made_again_and_repaired(machine, tmp_path: Path, name: str, how: str) -> None:
    made = machine("a").store.build(ACTION, maker([]), "hello")
    path = tmp_path / "shared" / "objects" / made.digest / name
    if how == "remove":
        path.unlink()
    else:
        path.write_bytes(b"X" + path.read_bytes()[1:])
    calls: list[int] = []
    b = machine("b")
    again = b.store.build(ACTION, maker(calls), "hello")
    assert (len(calls), again.digest) == (1, made.digest)
    assert not b.warnings() or "is made again" in b.warnings()[0]
    c = machine("c")
    assert c.store.build(ACTION, maker(calls), "hello").reused
    assert len(calls) == 1 and not c.warnings()


@pytest.mark.parametrize("name", ["../../../evil", "/tmp/evil", "manifest.json", ""])
def test_manifest_cannot_name_files_elsewhere(backend: Flaky, name: str) -> None:
    from charpipe.store.manifest import Manifest

    manifest = Manifest("s/1", {name: {"bytes": 1, "sha256": "x"}}, {})
    data = json.dumps({"schema": "s/1", "files": dict(manifest.files), "facts": {}}).encode()
    backend.create(f"objects/{manifest.digest}/manifest.json", data)
    with pytest.raises(DamagedObjectError):
        manifest_of(backend, manifest.digest)


@pytest.mark.parametrize("change", [{"object": "../../../evil"}, {"action": {"stage": "x"}}, {"made": 3}])
def test_record_that_is_not_the_actions_own_is_not_used(
    machine, tmp_path: Path, change: dict[str, Any]
) -> None:
    machine("a").store.build(ACTION, maker([]), "hello")
    path = tmp_path / "shared" / "actions" / f"{ACTION.digest}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    calls: list[int] = []
    assert not machine("b").store.build(ACTION, maker(calls), "hello").reused
    assert machine("c").store.build(ACTION, maker(calls), "hello").reused
    assert len(calls) == 1


def test_another_objects_content_is_not_taken(machine, tmp_path: Path) -> None:
    one = machine("a").store.build(ACTION, maker([]), "hello")
    other = machine("a").store.build(replace(ACTION, version=2), maker([], "xyz"), "hello")
    objects = tmp_path / "shared" / "objects"
    shutil.rmtree(objects / one.digest)
    shutil.copytree(objects / other.digest, objects / one.digest)
    b = machine("b")
    assert b.store.find(ACTION) is None
    assert "is damaged" in b.warnings()[0]


def test_store_that_is_lost_is_left_alone_and_pushed_to_later(machine, backend: Flaky) -> None:
    a = machine("a")
    a.store.build(ACTION, maker([]), "hello")
    backend.is_down = True
    later = replace(ACTION, version=2)
    assert not a.store.build(later, maker([], "later"), "hello").reused
    assert not a.store.build(replace(ACTION, version=3), maker([], "later still"), "hello").reused
    assert len(a.warnings()) == 1
    assert "does not answer" in a.warnings()[0] and "goes on with this machine's own store" in a.warnings()[0]
    assert a.told().count("kept on this machine; the next command pushes it") == 2
    again = machine("a")
    again.store.find(replace(ACTION, version=9))
    assert "besides 2 earlier results" in again.warnings()[0]
    backend.is_down = False
    next_one = machine("a")
    next_one.store.find(replace(ACTION, version=9))
    assert "pushed 2 results of earlier commands to file:///" in next_one.told()
    calls: list[int] = []
    assert machine("b").store.build(later, maker(calls), "hello").reused
    assert not calls
    quiet = machine("a")
    quiet.store.find(replace(ACTION, version=9))
    assert quiet.told() == ""


def test_store_lost_in_mid_push_is_pushed_to_later(machine, backend: Flaky) -> None:
    a = machine("a")

    def fail(name: str, key: str) -> None:
        if name == "upload" and key.endswith("file.bin"):
            backend.is_down = True

    backend.before = fail
    made = a.store.build(ACTION, maker([]), "hello")
    assert made.path.is_dir() and len(a.warnings()) == 1
    backend.before, backend.is_down = None, False
    b = machine("b")
    assert b.store.find(ACTION) is None and not b.warnings()
    machine("a").store.find(replace(ACTION, version=2))
    assert machine("b").store.find(ACTION) is not None


def test_what_another_machine_has_made_meanwhile_holds(machine, backend: Flaky) -> None:
    backend.is_down = True
    a = machine("a")
    mine = a.store.build(ACTION, maker([], "mine"), "hello")
    backend.is_down = False
    theirs = machine("b").store.build(ACTION, maker([], "theirs"), "hello")
    assert mine.digest != theirs.digest
    again = machine("a")
    found = again.store.build(ACTION, maker([], "never"), "hello")
    assert (found.digest, found.reused) == (theirs.digest, True)


def test_result_that_differs_from_the_shared_one_gives_way(machine, tmp_path: Path) -> None:
    from charpipe.store import Store

    mine = Store(tmp_path / "a" / "store").build(ACTION, maker([], "mine"), "hello")
    theirs = machine("b").store.build(ACTION, maker([], "theirs"), "hello")
    assert machine("a").store.find(ACTION).digest == theirs.digest != mine.digest


def test_forced_action_replaces_the_record(machine) -> None:
    machine("a").store.build(ACTION, maker([], "old"), "hello")
    new = machine("a").store.build(ACTION, maker([], "new"), "hello", force=True)
    assert machine("b").store.find(ACTION).digest == new.digest


def test_killed_push_is_finished_by_the_next_command(machine, backend: Flaky) -> None:
    a = machine("a")

    class Killed(BaseException):
        pass

    def kill(name: str, key: str) -> None:
        if name == "create" and key.startswith("actions/"):
            raise Killed

    backend.before = kill
    with pytest.raises(Killed):
        a.store.build(ACTION, maker([]), "hello")
    backend.before = None
    assert machine("b").store.find(ACTION) is None
    machine("a").store.find(replace(ACTION, version=2))
    assert machine("b").store.find(ACTION) is not None


class NoConditions:
    """A store that ignores conditions, as object storage did before it had conditional writes."""

    def __init__(self, inner: Backend) -> None:
        self.inner, self.url = inner, "s3://old/store"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def create(self, key: str, data: bytes) -> str | None:
        self.inner.delete([key])
        return self.inner.create(key, data)


def test_store_without_conditional_writes_is_refused(tmp_path: Path, backend: Flaky) -> None:
    machine = Machine(tmp_path / "a", NoConditions(backend))
    with pytest.raises(
        StoreAccessError, match=r"^s3://old/store has no conditional writes .*name another store"
    ):
        machine.store.find(ACTION)
    assert not [key for name, key in backend.calls if name == "upload"]


def test_check_of_a_store_is_remembered(machine, backend: Flaky) -> None:
    machine("a").store.find(ACTION)
    assert any(key.startswith("probes/") for _, key in backend.calls)
    assert not list(backend.list("probes/"))
    assert not list(backend.list("clocks/"))
    backend.calls.clear()
    machine("a").store.find(ACTION)
    assert not any(key.startswith("probes/") for _, key in backend.calls)


def test_folder_that_is_not_mounted_is_not_a_new_store(machine, tmp_path: Path) -> None:
    machine("a").store.build(ACTION, maker([]), "hello")
    (tmp_path / "shared").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreAccessError, match="is not there any more; mount it"):
        machine("a").store.find(ACTION)
    assert not (tmp_path / "shared").exists()


def test_store_whose_content_was_replaced_is_filled_again(machine, tmp_path: Path, backend: Flaky) -> None:
    machine("a").store.build(ACTION, maker([]), "hello")
    for entry in list(backend.list("")):
        backend.delete([entry.key])
    backend.create("store.json", b'{"id": "another", "format": 1}')
    assert machine("a").store.build(ACTION, maker([]), "hello").reused
    assert machine("b").store.find(ACTION) is not None


@pytest.mark.parametrize("data", [b"", b"[]", b'{"id": 1}', b'{"id": "x", "format": 99}'])
def test_what_is_no_store_is_named(machine, backend: Flaky, data: bytes) -> None:
    backend.create("store.json", data)
    with pytest.raises(StoreError, match=r"is not a store of charpipe|was written by a later charpipe"):
        machine("a").store.find(ACTION)


def test_expired_credentials_do_not_end_a_command(machine, backend: Flaky) -> None:
    a = machine("a")
    a.store.find(ACTION)

    def refuse(name: str, key: str) -> None:
        raise StoreAccessError("s3://x does not accept these credentials")

    backend.before = refuse
    assert not a.store.build(ACTION, maker([]), "hello").reused
    assert len(a.warnings()) == 1
    with pytest.raises(StoreAccessError):
        machine("b").store.find(ACTION)


def test_wait_names_the_machine_and_ends_when_it_is_done(machine, backend: Flaky) -> None:
    import threading

    a, b = machine("a"), machine("b")
    calls: list[int] = []
    held, go = threading.Event(), threading.Event()

    def slow(folder: Path) -> dict[str, int]:
        held.set()
        go.wait(waiting.LIMIT)
        return maker(calls)(folder)

    worker = threading.Thread(target=lambda: a.store.build(ACTION, slow, "hello"))
    worker.start()
    held.wait(waiting.LIMIT)

    def told(holder: str) -> None:
        b.notice(holder)
        go.set()

    found = b.store.build(ACTION, maker(calls), "hello", on_wait=told)
    worker.join()
    assert found.reused and len(calls) == 1
    assert f"process {os.getpid()} on " in b.told()


def test_lost_lease_publishes_nothing(machine, tmp_path: Path, backend: Flaky) -> None:
    a = machine("a")

    def overtaken(folder: Path) -> dict[str, int]:
        found = maker([])(folder)
        key = f"leases/actions/{ACTION.digest}.json"
        stored = backend.read(key)
        assert stored is not None
        other = json.loads(stored.data) | {"fence": 2, "nonce": "other", "host": "b"}
        backend.replace(key, json.dumps(other).encode(), stored.version)
        for lease in a.connection.leases.values():
            lease._since -= 1e6
        return found

    with pytest.raises(LostLeaseError, match=r"process \d+ on b .*took over"):
        a.store.build(ACTION, overtaken, "hello")
    for place in ("a/store", "shared"):
        assert not list((tmp_path / place).glob("objects/*"))
        assert not list((tmp_path / place).glob("actions/*"))
    assert not list((tmp_path / "a" / "store" / "making").iterdir())


BUILDER = """
import os, signal, sys
from pathlib import Path
from charpipe.errors import LostLeaseError
from charpipe.store.backends.folder import open_folder
from store_machines import Machine
from test_shared_store import ACTION

root, url, seconds, how = sys.argv[1:]
machine = Machine(Path(root), open_folder(url), float(seconds))

def make(folder):
    with open(Path(root).parent.parent / "built", "a") as file:
        file.write(f"{os.getpid()}\\n")
    (folder / "vocabulary.json").write_text("abc")
    if how == "stop":
        print("stopped", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
    return {"size": 3}

try:
    built = machine.store.build(ACTION, make, "hello")
    print(built.digest, built.reused, flush=True)
except LostLeaseError as error:
    print("lost:", error, flush=True)
"""


def start(root: Path, url: str, seconds: float, how: str) -> subprocess.Popen[str]:
    here = os.pathsep.join([str(Path(__file__).parent), str(Path(waiting.__file__).parent)])
    words = [sys.executable, "-c", BUILDER, str(root), url, str(seconds), how]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": here})


@pytest.mark.e2e
def test_sixteen_processes_build_one_action_once(tmp_path: Path) -> None:
    url = (tmp_path / "shared").as_uri()
    processes = [start(tmp_path / f"m{number}" / "store", url, 600.0, "go") for number in range(16)]
    answers = [process.communicate(timeout=waiting.LIMIT)[0].split() for process in processes]
    assert len((tmp_path / "built").read_text().splitlines()) == 1
    assert len({digest for digest, _ in answers}) == 1
    assert sorted(reused for _, reused in answers) == ["False"] + ["True"] * 15


@pytest.mark.e2e
def test_writer_stopped_past_its_lease_publishes_nothing(tmp_path: Path) -> None:
    url = (tmp_path / "shared").as_uri()
    with start(tmp_path / "a" / "store", url, 1.0, "stop") as stopped:
        assert stopped.stdout is not None and stopped.stdout.readline() == "stopped\n"
        with start(tmp_path / "b" / "store", url, 1.0, "go") as other:
            digest, reused = other.communicate(timeout=waiting.LIMIT)[0].split()
        assert reused == "False"
        before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "shared").rglob("*.json"))
        os.kill(stopped.pid, signal.SIGCONT)
        answer = stopped.communicate(timeout=waiting.LIMIT)[0]
    assert answer.startswith("lost: the lease of vocabulary has passed")
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "shared").rglob("*.json")) == before
    assert not list((tmp_path / "a" / "store").glob("objects/*"))
    assert not list((tmp_path / "a" / "store").glob("actions/*"))
    assert (tmp_path / "shared" / "objects" / digest / "manifest.json").is_file()


@pytest.mark.cluster
def test_two_machines_share_a_bucket(s3_server: Any, tmp_path: Path) -> None:
    from charpipe.config.settings.store import StoreConfig
    from charpipe.store.backends import open_backend

    config = StoreConfig(url="s3://charpipe/shared-store", endpoint=s3_server.endpoint)
    calls: list[int] = []
    made = Machine(tmp_path / "a", open_backend(config)).store.build(ACTION, maker(calls), "hello")
    shutil.rmtree(tmp_path / "a")
    b = Machine(tmp_path / "b", open_backend(config))
    assert b.store.build(ACTION, maker(calls), "hello").digest == made.digest
    assert len(calls) == 1
    s3_server.kill()
    later = replace(ACTION, version=2)
    b.store.build(later, maker(calls), "hello")
    assert len(b.warnings()) == 1 and "s3://charpipe/shared-store does not answer" in b.warnings()[0]
    s3_server.start()
    again = Machine(tmp_path / "b", open_backend(config))
    again.store.find(ACTION)
    assert "pushed 1 result of earlier commands" in again.told()
    assert Machine(tmp_path / "c", open_backend(config)).store.build(later, maker(calls), "hello").reused
    assert len(calls) == 2
    secret = s3_server_secret().encode()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret in path.read_bytes()]


def s3_server_secret() -> str:
    return os.environ["AWS_SECRET_ACCESS_KEY"]
