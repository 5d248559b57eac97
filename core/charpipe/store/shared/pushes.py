"""Pushing results of the local store to a shared store: the object, then the record of the action, then the index.

A note in the local store remembers a result from before it is pushed until everything has arrived.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from charpipe.store.actions import Record, read_record
from charpipe.store.shared import marks, objects, records
from charpipe.store.shared.connection import Connection
from charpipe.store.shared.notes import Notes

DIVIDED = ("encode",)
"""Stages whose results depend on how a corpus is divided into splits: they are pushed under the name that the corpus
has in the shared store, and not before it has one."""
Progress = Callable[[str, int, int], None]


def lease_of(action: str) -> str:
    """The name of the lease of an action, given by its digest."""
    return f"actions/{action}"


def subject_of(connection: Connection, record: Record) -> str | None:
    """The name under which a record is entered in the index; None if its corpus has none yet."""
    subject = str(record["subject"])
    return connection.subjects.get(subject) if record["action"]["stage"] in DIVIDED else subject


class Pushes:
    """Pushes results of the local store at `root`, of this command and of earlier ones."""

    def __init__(self, connection: Connection, root: Path, notes: Notes, progress: Progress) -> None:
        self._connection, self._root, self._notes, self._progress = connection, root, notes, progress
        self._backend = connection.backend

    def made(self, action: str, record: Record) -> Record:
        """Push the result of an action that this process owns, and return the record that holds: this one, or that of
        another machine. Raises LostLeaseError if another machine took over."""
        subject = subject_of(self._connection, record)
        return (
            record
            if subject is None
            else self._push(action, record, subject, self._connection.replaced.get(action))
        )

    def earlier(self) -> int:
        """Push what earlier commands could not, and return the number of results."""
        return sum(self.late(action) for action in self._notes.unpushed())

    def late(self, action: str, subject: str | None = None) -> bool:
        """Push a result that was made earlier, unless another machine has made it too: then that one holds, and is
        pulled when it is needed. Returns whether it was pushed."""
        path = self._root / records.FOLDER / f"{action}.json"
        record = read_record(path)
        if record is None or not (self._root / objects.FOLDER / str(record["object"])).is_dir():
            self._notes.remove_unpushed(action)
            return False
        named = subject or self._notes.subject_of(action) or subject_of(self._connection, record)
        if named is None:
            return False
        holds = self._push(action, record, named)
        if holds["object"] != record["object"]:
            path.unlink(missing_ok=True)
        return True

    def _push(self, action: str, record: Record, subject: str, instead_of: str | None = None) -> Record:
        digest, check = str(record["object"]), self._connection.check_leases

        def progress(done: int, total: int) -> None:
            self._progress(str(record["action"]["stage"]), done, total)

        check()
        marks.mark(self._backend, digest)
        is_damaged, folder = digest in self._connection.damaged, self._root / objects.FOLDER / digest
        self._connection.pushed_bytes += objects.push(
            self._backend, folder, digest, repair=is_damaged, check=check, progress=progress
        )
        self._connection.damaged.discard(digest)
        check()
        holds = records.publish(self._backend, action, record, instead_of)
        records.enter(self._backend, action, holds, subject)
        self._notes.remove_unpushed(action)
        self._notes.use(action)
        return holds
