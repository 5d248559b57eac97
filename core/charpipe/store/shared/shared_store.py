"""The shared store of one command, as the local store uses it: find, pull, push, own.

If the store stops answering, the command goes on with the local store alone: one warning, and what could not be pushed
is pushed by the next command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from charpipe.errors import StoreAccessError, StoreError, StoreUnreachableError
from charpipe.store.actions import Action, Record, read_record
from charpipe.store.atomic import write_json
from charpipe.store.backends import Backend
from charpipe.store.leases import Acquisition, Lease, wait_for
from charpipe.store.shared import marks, objects, records
from charpipe.store.shared.connection import Connection
from charpipe.store.shared.notes import Notes
from charpipe.store.shared.objects import DamagedObjectError
from charpipe.store.shared.pushes import Pushes, lease_of, subject_of

T = TypeVar("T")


class StoreListener(Protocol):
    """Receives what a shared store reports."""

    def notice(self, message: str, level: str = "info") -> None:
        """A sentence for the user."""
        ...

    def progress(self, stage: str, done: int, total: int) -> None:
        """Bytes that have been transferred; it may raise, to stop."""
        ...


class SharedStore:
    """The shared store behind the local store at `root`."""

    def __init__(self, connection: Connection, root: Path, listener: StoreListener) -> None:
        self._connection, self._root, self._listener = connection, root, listener
        self._backend = connection.backend

    @property
    def connection(self) -> Connection:
        """The connection of this command to the store."""
        return self._connection

    @property
    def url(self) -> str:
        return self._connection.url

    @property
    def is_lost(self) -> bool:
        """Whether the store did not answer, so that this command leaves it alone."""
        return self._connection.lost is not None

    def ask(self, question: Callable[[Backend], T], default: T) -> T:
        """The answer of the backend to `question`; `default` if the store does not answer."""
        return self._ask(lambda notes: question(self._backend), default)

    def open(self) -> None:
        """Check the store, and push what earlier commands could not; every other question does so as well."""
        self._ask(lambda notes: None, None)

    def find(self, action: Action) -> Record | None:
        """The record of an action that some machine has carried out."""
        return self.ask(lambda backend: records.read(backend, action.digest), None)

    def fetch(self, action: Action) -> bool:
        """Pull the result of an action into the local store; returns whether some machine has made it."""
        record = self.find(action)
        if record is None or not self.pull(str(record["object"]), action.stage):
            return False
        write_json(self._root / records.FOLDER / f"{action.digest}.json", record)
        self._ask(lambda notes: notes.use(action.digest), None)
        self._listener.notice(f"{action.stage}: found in {self.url}")
        return True

    def pull(self, digest: str, stage: str) -> bool:
        """Pull an object into the local store; returns whether it is there now."""

        def progress(done: int, total: int) -> None:
            self._listener.progress(stage, done, total)

        def pulled(notes: Notes) -> bool:
            marks.mark(self._backend, digest)
            final, making = self._root / objects.FOLDER / digest, self._root / "making"
            size = objects.pull(self._backend, digest, final, making, progress)
            self._connection.pulled_bytes += size or 0
            return size is not None

        try:
            return self._ask(pulled, False)
        except DamagedObjectError as error:
            self._connection.damaged.add(digest)
            self._listener.notice(f"{stage}: {error} in {self.url}; it is made again", "warning")
            return False

    def holds(self, digest: str) -> bool:
        """Whether a whole object with this digest is in the store."""
        try:
            return self.ask(lambda backend: objects.manifest_of(backend, digest), None) is not None
        except DamagedObjectError:
            return False

    def use(self, action: Action, digest: str) -> None:
        """Record that a result in the local store is in use, and push it if the shared store lacks it. If the shared
        store has another result of this action, that one holds: the local record goes."""

        def used(notes: Notes) -> None:
            if notes.is_fresh(action.digest):
                return
            found = records.read(self._backend, action.digest)
            if found is None:
                self._pushes(notes).late(action.digest)
            elif found["object"] != digest:
                (self._root / records.FOLDER / f"{action.digest}.json").unlink(missing_ok=True)
                notes.remove_unpushed(action.digest)
            else:
                marks.mark(self._backend, str(found["object"]))
                notes.remove_unpushed(action.digest)
                notes.use(action.digest)

        self._ask(used, None)

    def push(self, action: Action, record: Record) -> Record:
        """Push a result that was just made and recorded locally; returns the record that holds on all machines.

        Raises LostLeaseError if another machine took over. If the store does not answer, the next command pushes it.
        """
        Notes(self._root, self.url).add_unpushed(action.digest, subject_of(self._connection, record))
        pushed = self._ask(lambda notes: self._pushes(notes).made(action.digest, record), None)
        if pushed is None or self.is_lost:
            self._listener.notice(
                f"{action.stage}: kept on this machine; the next command pushes it to {self.url}"
            )
        return pushed or record

    def check(self) -> None:
        """Raise LostLeaseError if another machine took over what this process works on. A store that does not answer is
        lost, and no reason to stop."""
        if self.is_lost:
            return
        try:
            self._connection.check_leases()
        except StoreUnreachableError as error:
            self._lose(error)

    @contextmanager
    def owning(
        self, action: Action, on_wait: Callable[[str], None], while_waiting: Callable[[], None]
    ) -> Iterator[None]:
        """Own an action on all machines. The wait also ends, without owning it, once another machine has carried it
        out."""
        before = self.find(action)
        version = self.ask(lambda backend: records.version_of(backend, action.digest), None)

        def is_done() -> bool:
            return before is None and self.find(action) is not None

        name, uses = lease_of(action.digest), tuple(action.inputs.values())
        with self.leased(name, action.stage, on_wait, while_waiting, uses, is_done):
            if version is not None:
                self._connection.replaced[action.digest] = version
            try:
                yield
            finally:
                self._connection.replaced.pop(action.digest, None)

    @contextmanager
    def leased(
        self,
        name: str,
        title: str,
        on_wait: Callable[[str], None],
        while_waiting: Callable[[], None],
        uses: tuple[str, ...] = (),
        is_done: Callable[[], bool] = lambda: False,
    ) -> Iterator[None]:
        """Hold the lease `name`, which messages call `title`. If the store is lost, nothing is held."""

        def acquired(notes: Notes) -> Lease | None:
            seconds, clock = self._connection.lease_seconds, self._connection.clock
            clock.check(seconds)
            acquisition = Acquisition(self._backend, name, seconds, uses=uses, clock=clock, title=title)
            return wait_for(acquisition, lambda holder: on_wait(str(holder)), while_waiting, is_done)

        lease = self._ask(acquired, None)
        if lease is None:
            yield
            return
        self._connection.leases[name] = lease
        try:
            yield
        finally:
            del self._connection.leases[name]
            if self.is_lost:
                lease.abandon()
            else:
                lease.release()

    def history(self, stage: str, subject: str) -> list[Record]:
        """The records of a stage for a subject, by its name in the index, from all machines."""
        return self._ask(lambda notes: records.of_subject(self._backend, stage, subject, notes.cache), [])

    def newest(self, stage: str, subject: str) -> Record | None:
        """The newest record of a stage for a subject, from any machine."""
        return self.ask(lambda backend: records.newest(backend, stage, subject), None)

    def made(self, digest: str) -> Record | None:
        """The newest record of an action that made this object, on any machine."""
        return self.ask(lambda backend: records.of_object(backend, digest), None)

    def subject(self, corpus: str) -> str | None:
        """The name of a corpus in the index; None if it has none yet."""
        return self._connection.subjects.get(corpus)

    def set_subject(self, corpus: str, name: str) -> None:
        """Give a corpus its name in the index."""
        self._connection.subjects[corpus] = name

    def unnamed(self, corpus: str) -> list[str]:
        """The actions for this corpus that were carried out before it had a name in the index."""

        def unnamed(notes: Notes) -> list[str]:
            actions = [action for action in notes.unpushed() if notes.subject_of(action) is None]
            folder = self._root / records.FOLDER
            found = {action: read_record(folder / f"{action}.json") for action in actions}
            return [action for action, record in found.items() if record and record["subject"] == corpus]

        return self._ask(unnamed, [])

    def resolve_unnamed(self, action: str, subject: str | None) -> None:
        """Push such a result under the corpus's name, or forget it (None), so that it is made again."""

        def resolve(notes: Notes) -> None:
            if subject is not None:
                self._pushes(notes).late(action, subject)
                return
            (self._root / records.FOLDER / f"{action}.json").unlink(missing_ok=True)
            notes.remove_unpushed(action)

        self._ask(resolve, None)

    def _ask(self, question: Callable[[Notes], T], default: T) -> T:
        """`question(notes)`, or `default` if the store does not answer, which ends its use by this command."""
        if self.is_lost:
            return default
        is_known = self._connection.identifier is not None
        try:
            notes = Notes(self._root, self.url, self._connection.open(self._root))
            if not is_known:
                self._push_earlier(notes)
            return question(notes)
        except StoreUnreachableError as error:
            self._lose(error)
        except StoreAccessError as error:  # of credentials that have expired, say
            if not is_known:
                raise
            self._lose(error)
        return default

    def _push_earlier(self, notes: Notes) -> None:
        if pushed := self._pushes(notes).earlier():
            results = "result" if pushed == 1 else "results"
            self._listener.notice(f"pushed {pushed} {results} of earlier commands to {self.url}")

    def _pushes(self, notes: Notes) -> Pushes:
        return Pushes(self._connection, self._root, notes, self._listener.progress)

    def _lose(self, error: StoreError) -> None:
        if self._connection.lost is None:
            self._connection.lost = str(error)
            number = len(Notes(self._root, self.url).unpushed())
            waiting = f", besides {number} earlier result{'s' * (number > 1)}" if number else ""
            self._listener.notice(
                f"{error}; this command goes on with this machine's own store, and the next one pushes what it "
                f"makes{waiting}",
                "warning",
            )
