"""A lease has one owner, however many machines want it and whatever their clocks say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import waiting
from charpipe.errors import LostLeaseError, StoreAccessError, StoreError, StoreUnreachableError
from charpipe.store import leases
from charpipe.store.backends import Backend, Stored
from charpipe.store.backends.folder import open_folder
from charpipe.store.holders import Holder, this_process
from charpipe.store.leases import Acquisition, Lease, acquire, held, hold, holder_of
from charpipe.store.server_clock import ServerClock

LONG = 600.0


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    return open_folder((tmp_path / "store").as_uri())


class Wrapped:
    """A backend that answers as another one does, or not at all."""

    def __init__(self, inner: Backend) -> None:
        self.inner, self.url, self.is_down, self.loses_answers = inner, inner.url, False, False

    def __getattr__(self, name: str):
        if self.is_down:
            raise StoreUnreachableError(f"{self.url} does not answer")
        return getattr(self.inner, name)

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        if self.is_down:
            raise StoreUnreachableError(f"{self.url} does not answer")
        made = self.inner.replace(key, data, version)
        if self.loses_answers:
            self.loses_answers = False
            raise StoreUnreachableError(f"{self.url} does not answer")
        return made


def expire(lease: Lease) -> None:
    """Let a lease pass, as for a process that was stopped: its thread renews nothing, and its clock has moved on."""
    lease._ended.set()
    lease._thread.join()
    lease._ended.clear()
    lease._since -= lease._holder.seconds + 1


def take_over(backend: Backend, name: str) -> Lease:
    """Take over a lease whose owner is gone."""
    acquisition = Acquisition(backend, name, LONG)
    assert isinstance(acquisition.attempt(), Holder)
    acquisition._seen._since -= 2 * LONG
    found = acquisition.attempt()
    assert isinstance(found, Lease)
    return found


def test_lease_has_one_owner_and_fences_grow(backend: Backend) -> None:
    with hold(backend, "actions/a", LONG) as lease:
        lease.check()
        present = Acquisition(backend, "actions/a", LONG).attempt()
        assert isinstance(present, Holder)
        assert f"process {os.getpid()} on " in str(present)
    with hold(backend, "actions/a", LONG) as again:
        assert again.fence == lease.fence + 1
    with hold(backend, "actions/b", LONG) as other:
        assert other.fence == 1


def test_of_many_processes_one_acquires(backend: Backend) -> None:
    acquisitions = [Acquisition(backend, "x", LONG) for _ in range(8)]
    start = threading.Barrier(8)

    def attempt(acquisition: Acquisition) -> Lease | Holder:
        start.wait()
        return acquisition.attempt()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(attempt, acquisitions))
    owners = [one for one in found if isinstance(one, Lease)]
    assert len(owners) == 1
    owners[0].release()


def test_wait_names_the_owner_once_and_can_be_stopped(backend: Backend) -> None:
    told: list[Holder] = []
    looks: list[int] = []

    def stop() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    with hold(backend, "x", LONG), pytest.raises(KeyboardInterrupt):
        acquire(backend, "x", 1.0, on_wait=told.append, while_waiting=stop)
    assert len(told) == 1
    assert told[0].pid == os.getpid()


def test_owner_that_is_taken_over_raises_before_it_writes(backend: Backend) -> None:
    lease = acquire(backend, "x", LONG)
    expire(lease)
    other = take_over(backend, "x")
    assert other.fence == lease.fence + 1
    with pytest.raises(
        LostLeaseError, match=r"took over, so nothing more was written; type the same command again"
    ):
        lease.check()
    with pytest.raises(LostLeaseError):
        lease.renew()
    lease.release()
    other.check()
    other.renew()
    other.release()


def test_owner_that_slept_goes_on_if_nobody_took_over(backend: Backend) -> None:
    lease = acquire(backend, "x", LONG)
    expire(lease)
    lease.check()
    assert isinstance(Acquisition(backend, "x", LONG).attempt(), Holder)
    lease.release()


def test_owner_is_not_taken_over_while_it_renews(backend: Backend) -> None:
    lease = acquire(backend, "x", LONG)
    acquisition = Acquisition(backend, "x", LONG)
    assert isinstance(acquisition.attempt(), Holder)
    acquisition._seen._since -= 2 * LONG
    lease.renew()
    assert isinstance(acquisition.attempt(), Holder)
    lease.release()


def test_owner_cannot_tell_while_the_store_is_down(backend: Backend) -> None:
    wrapped = Wrapped(backend)
    lease = acquire(wrapped, "x", LONG)
    wrapped.is_down = True
    lease.check()  # it was renewed a moment ago
    expire(lease)
    with pytest.raises(StoreUnreachableError):
        lease.check()
    wrapped.is_down = False
    lease.check()
    lease.release()


def test_renewal_whose_answer_was_lost_is_not_a_takeover(backend: Backend) -> None:
    wrapped = Wrapped(backend)
    lease = acquire(wrapped, "x", LONG)
    wrapped.loses_answers = True
    with pytest.raises(StoreUnreachableError):
        lease.renew()
    lease.renew()
    lease.check()
    lease.release()


def test_thread_renews(backend: Backend) -> None:
    with hold(backend, "x", 1.0) as lease:
        before = backend.read("leases/x.json")
        waiting.until(lambda: backend.read("leases/x.json") != before)
        lease.check()


def test_owner_that_is_long_dead_is_not_waited_for(backend: Backend, tmp_path: Path) -> None:
    lease = acquire(backend, "x", LONG)
    expire(lease)
    path = tmp_path / "store" / "leases" / "x.json"
    os.utime(path, (1_600_000_000, 1_600_000_000))
    with hold(backend, "x", LONG) as other:
        assert other.fence == 2


def test_who_holds_a_lease_is_shown_until_it_passes(backend: Backend, tmp_path: Path) -> None:
    clock = ServerClock(backend)
    assert holder_of(backend, "runs/a", clock) is None
    with hold(backend, "runs/a", LONG, uses=["d1"]):
        found = holder_of(backend, "runs/a", clock)
        assert found is not None and found.pid == os.getpid() and found.uses == ("d1",)
        with hold(backend, "actions/b", LONG):
            assert list(held(backend, clock)) == ["actions/b", "runs/a"]
            assert list(held(backend, clock, "runs/")) == ["runs/a"]
        path = tmp_path / "store" / "leases" / "runs" / "a.json"
        os.utime(path, (1_600_000_000, 1_600_000_000))
        assert holder_of(backend, "runs/a", clock) is None
    assert held(backend, clock) == {}


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"fence": "x"}'])
def test_damaged_record_is_named(backend: Backend, data: bytes) -> None:
    backend.create("leases/x.json", data)
    with pytest.raises(
        StoreError, match=r"leases/x.json in the shared store is not the record of a lease; delete it"
    ):
        acquire(backend, "x", LONG)


def test_command_in_the_record_has_no_secret(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["/bin/charpipe", "run", "--corpus", "https://me:hunter2@host/x?token=abc123", "two\nlines"]
    monkeypatch.setattr(sys, "argv", words)
    with hold(backend, "x", LONG):
        data = backend.read("leases/x.json").data  # type: ignore[union-attr]
    assert b"hunter2" not in data and b"abc123" not in data
    assert json.loads(data)["command"].startswith("charpipe run --corpus https://")


class Shifted(Wrapped):
    """A backend of a machine whose clock is `seconds` ahead."""

    seconds = 0.0

    def read(self, key: str) -> Stored | None:
        from datetime import timedelta

        stored = self.inner.read(key)
        moved = timedelta(seconds=self.seconds)
        return None if stored is None else Stored(stored.data, stored.version, stored.modified + moved)


@pytest.mark.parametrize(("seconds", "words"), [(95.0, "95 s behind"), (-95.0, "95 s ahead of")])
def test_clocks_that_differ_by_more_than_a_lease_are_an_error(
    backend: Backend, seconds: float, words: str
) -> None:
    shifted = Shifted(backend)
    shifted.seconds = seconds
    ServerClock(shifted).check(120)
    with pytest.raises(
        StoreAccessError, match=rf"clock is 9\d s {words[5:]} the clock of file:.*set the clock by NTP"
    ):
        ServerClock(shifted).check(30)


def test_lease_is_independent_of_the_clocks(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    shifted = Shifted(backend)
    shifted.seconds = 40.0  # below two leases: the owner's record looks older or newer than it is
    with hold(backend, "x", 30.0) as lease:
        for seconds in (40.0, -40.0):
            shifted.seconds = seconds
            assert isinstance(Acquisition(shifted, "x", 30.0).attempt(), Holder)
        lease.check()


OWNER = """
import sys
from charpipe.errors import LostLeaseError
from charpipe.store.backends.folder import open_folder
from charpipe.store.leases import acquire
lease = acquire(open_folder(sys.argv[1]), "x", 1.0)
print("owner", flush=True)
sys.stdin.readline()
try:
    lease.check()
    print("still", flush=True)
except LostLeaseError as error:
    print(error, flush=True)
"""


@pytest.fixture
def owner(backend: Backend) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", OWNER, backend.url]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "owner\n"
        yield process
        process.kill()


def test_process_stopped_past_its_lease_writes_nothing(
    backend: Backend, owner: subprocess.Popen[str]
) -> None:
    os.kill(owner.pid, signal.SIGSTOP)
    with hold(backend, "x", LONG) as lease:
        assert lease.fence == 2
        os.kill(owner.pid, signal.SIGCONT)
        text, _ = owner.communicate("go\n", timeout=waiting.LIMIT)
        assert "took over, so nothing more was written" in text
        lease.check()
        lease.renew()


def test_lease_of_a_killed_process_passes(backend: Backend, owner: subprocess.Popen[str]) -> None:
    owner.kill()
    with hold(backend, "x", LONG) as lease:
        assert lease.fence == 2


def test_released_lease_is_not_renewed(backend: Backend) -> None:
    lease = acquire(backend, "x", LONG)
    lease.release()
    lease.release()
    with pytest.raises(LostLeaseError):
        lease.renew()
    assert leases.FOLDER == "leases"
    assert this_process(1, 1.0).nonce != this_process(1, 1.0).nonce
