"""Leases: which process of which machine owns something in a shared store.

A lease is an object `leases/<name>.json` that is only changed by compare-and-swap. Its owner renews it; when the object
has not changed for the length of the lease, by the observer's own clock, the owner counts as gone and another process
takes over with a fence that is one higher. So no two machines' clocks are compared: the owner counts from before it
wrote, an observer from after it read. An owner that was stopped meanwhile finds the lease changed, and writes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from charpipe.errors import LostLeaseError, StoreError
from charpipe.store.backends import Backend, Stored
from charpipe.store.elapsed_time import elapsed_seconds
from charpipe.store.holders import Holder, read_holder, this_process
from charpipe.store.server_clock import ServerClock

FOLDER = "leases"
POLL_SECONDS = 0.5
"""Time between two looks at a lease that another process holds."""
RENEWALS = 3
"""Renewals in the length of a lease."""
_RECOVERIES = 3


def key_of(name: str) -> str:
    """The key of the lease `name`."""
    return f"{FOLDER}/{name}.json"


class Lease:
    """A lease that this process holds, renewed by a thread until `release`; `title` is what messages call it.

    `fence` is the number of this ownership: a later owner of the same lease has a higher one.
    """

    def __init__(
        self, backend: Backend, name: str, holder: Holder, version: str, since: float, title: str = ""
    ) -> None:
        self.name, self.title, self.fence = name, title or name, holder.fence
        self._backend, self._key, self._holder = backend, key_of(name), holder
        self._version, self._since = version, since
        self._lost: str | None = None
        self._mutex, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._renew_until_ended, name=f"lease {name}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise unless this process still owns the lease; call it before each write.

        It asks the store only if the last renewal is longer ago than the lease. Raises LostLeaseError if another
        process took over, StoreUnreachableError if the store cannot tell.
        """
        self._raise_if_lost()
        if elapsed_seconds() - self._since >= self._holder.seconds:
            self.renew()

    def renew(self) -> None:
        """Renew now, which asks the store whether the lease is still ours; raises as `check` does."""
        with self._mutex:
            self._raise_if_lost()
            if self._ended.is_set():
                raise LostLeaseError(f"the lease of {self.title} was released")
            if not self._swap(self._holder.renewed()):
                self._recover()

    def release(self) -> None:
        """End the ownership. The record stays, so that fences keep growing."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=self._holder.seconds)
        with self._mutex, suppress(StoreError):
            if self._lost is None:
                self._swap(replace(self._holder.renewed(), released=True))

    def abandon(self) -> None:
        """End the ownership without telling the store, which does not answer: the lease passes by itself."""
        self._ended.set()

    def _swap(self, holder: Holder) -> bool:
        since = elapsed_seconds()
        version = self._backend.replace(self._key, holder.to_bytes(), self._version)
        if version is not None:
            self._holder, self._version, self._since = holder, version, since
        return version is not None

    def _recover(self) -> None:
        """After a failed renewal: try again if it failed only because the answer to an earlier one had not arrived;
        otherwise the lease is lost."""
        for _ in range(_RECOVERIES):
            stored = self._backend.read(self._key)
            found = None if stored is None else read_holder(stored.data, self._key)
            if stored is None or found is None or found.nonce != self._holder.nonce or found.released:
                is_other = found is not None and found.nonce != self._holder.nonce
                by = f"{found} took over" if is_other else "it was given up"
                self._lost = (
                    f"the lease of {self.title} has passed, since this process did not renew it within "
                    f"{self._holder.seconds:g} s; {by}, so nothing more was written; type the same command again"
                )
                break
            self._version = stored.version
            if self._swap(found.renewed()):
                return
        self._raise_if_lost()

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            raise LostLeaseError(self._lost)

    def _renew_until_ended(self) -> None:
        pause = self._holder.seconds / RENEWALS
        while not self._ended.wait(pause):
            try:
                self.renew()
                pause = self._holder.seconds / RENEWALS
            except LostLeaseError:
                return
            except StoreError:
                pause = self._holder.seconds / RENEWALS / 4


class _Observation:
    """How long a lease has not changed, by this process's own clock."""

    def __init__(self) -> None:
        self._version, self._since = "", 0.0

    def unchanged_for(self, stored: Stored) -> float:
        if stored.version != self._version:
            self._version, self._since = stored.version, elapsed_seconds()
        return elapsed_seconds() - self._since


class Acquisition:
    """One attempt after another to acquire a lease; it remembers what it has seen of the present owner.

    `has_ended` says of an owner that its process has ended, so that its lease need not be waited for.
    """

    def __init__(
        self,
        backend: Backend,
        name: str,
        seconds: float,
        uses: Iterable[str] = (),
        clock: ServerClock | None = None,
        title: str = "",
        has_ended: Callable[[Holder], bool] = lambda holder: False,
    ) -> None:
        self._title, self._has_ended = title, has_ended
        self._backend, self._name, self._key, self.seconds = backend, name, key_of(name), seconds
        self._uses, self._clock, self._seen = tuple(uses), clock or ServerClock(backend), _Observation()
        self._is_first = True

    def attempt(self) -> Lease | Holder:
        """The lease, if it is free or its owner has not renewed it in time; otherwise its owner."""
        while True:
            stored = self._backend.read(self._key)
            present = None if stored is None else read_holder(stored.data, self._key)
            if stored is not None and present is not None and not self._is_free(stored, present):
                return present
            since = elapsed_seconds()
            mine = this_process(1 if present is None else present.fence + 1, self.seconds, self._uses)
            if stored is None:
                version = self._backend.create(self._key, mine.to_bytes())
            else:
                version = self._backend.replace(self._key, mine.to_bytes(), stored.version)
            if version is not None:
                return Lease(self._backend, self._name, mine, version, since, self._title)

    def _is_free(self, stored: Stored, present: Holder) -> bool:
        if present.released or self._seen.unchanged_for(stored) > present.seconds * 1.02:
            return True
        first, self._is_first = self._is_first, False
        return first and (self._is_long_dead(stored, present) or self._has_ended(present))

    def _is_long_dead(self, stored: Stored, present: Holder) -> bool:
        """Whether by the store's own clock the owner has missed so many renewals that observing it is no use."""
        return self._clock.age(stored.modified) > 3 * present.seconds + 2


def acquire(
    backend: Backend,
    name: str,
    seconds: float,
    *,
    uses: Iterable[str] = (),
    clock: ServerClock | None = None,
    on_wait: Callable[[Holder], None] = lambda holder: None,
    while_waiting: Callable[[], None] = lambda: None,
) -> Lease:
    """Acquire the lease `name`, waiting for its owner without a timeout.

    `on_wait` is called for each owner that is waited for; `while_waiting` is called at each look and may raise to stop
    waiting.
    """
    lease = wait_for(Acquisition(backend, name, seconds, uses, clock), on_wait, while_waiting)
    assert lease is not None
    return lease


def wait_for(
    acquisition: Acquisition,
    on_wait: Callable[[Holder], None],
    while_waiting: Callable[[], None],
    is_done: Callable[[], bool] = lambda: False,
) -> Lease | None:
    """The lease, once it is free; None if `is_done()` became true while another process held it."""
    waited_for = ""
    while True:
        found = acquisition.attempt()
        if isinstance(found, Lease):
            return found
        if found.nonce != waited_for:
            on_wait(found)
            waited_for = found.nonce
        while_waiting()
        time.sleep(min(POLL_SECONDS, acquisition.seconds / 4))
        if is_done():
            return None


@contextmanager
def hold(
    backend: Backend,
    name: str,
    seconds: float,
    *,
    uses: Iterable[str] = (),
    clock: ServerClock | None = None,
    on_wait: Callable[[Holder], None] = lambda holder: None,
    while_waiting: Callable[[], None] = lambda: None,
) -> Iterator[Lease]:
    """Hold the lease `name`; see `acquire`."""
    lease = acquire(
        backend, name, seconds, uses=uses, clock=clock, on_wait=on_wait, while_waiting=while_waiting
    )
    try:
        yield lease
    finally:
        lease.release()


def holder_of(backend: Backend, name: str, clock: ServerClock) -> Holder | None:
    """The process that owns the lease `name` now, by the store's clock; None if it is free or its owner is gone.

    It is meant for showing what is running. Who wants to work acquires the lease instead.
    """
    stored = backend.read(key_of(name))
    if stored is None:
        return None
    holder = read_holder(stored.data, key_of(name))
    is_held = not holder.released and clock.age(stored.modified) <= holder.seconds + 2
    return holder if is_held else None


def held(backend: Backend, clock: ServerClock, folder: str = "") -> dict[str, Holder]:
    """The owners of all leases in `folder` (`runs/`) that are held now, by name."""
    names = [key.removeprefix(f"{FOLDER}/").removesuffix(".json") for key in _keys(backend, folder)]
    found = {}
    for name in names:
        with suppress(StoreError):
            if (holder := holder_of(backend, name, clock)) is not None:
                found[name] = holder
    return found


def _keys(backend: Backend, folder: str) -> list[str]:
    return [entry.key for entry in backend.list(f"{FOLDER}/{folder}") if entry.key.endswith(".json")]
