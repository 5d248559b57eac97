"""The connection of one command to a shared store: checked once, and given up once the store does not answer."""

from __future__ import annotations

import json
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from charpipe.errors import StoreAccessError, StoreError, StoreUnreachableError
from charpipe.store.atomic import write_json
from charpipe.store.backends import Backend
from charpipe.store.leases import Lease
from charpipe.store.server_clock import ServerClock
from charpipe.store.shared.notes import Notes
from charpipe.store.shared.probe import probe

IDENTITY = "store.json"
FORMAT = 1


class Connection:
    """What all stages of a command share: the backend, the leases they hold, and whether the store was lost."""

    def __init__(self, backend: Backend, lease_seconds: float) -> None:
        self.backend, self.lease_seconds = backend, lease_seconds
        self.clock = ServerClock(backend)
        self.leases: dict[str, Lease] = {}
        self.lost: str | None = None
        """Why the store was given up, or None."""
        self.damaged: set[str] = set()
        """Objects whose files in the shared store are damaged: the next push writes them again."""
        self.replaced: dict[str, str] = {}
        """The versions of the records that this command's actions replace, by the action."""
        self.subjects: dict[str, str] = {}
        """The names of corpora in the index of the store."""
        self.pulled_bytes = 0
        self.pushed_bytes = 0
        self.identifier: str | None = None
        """The store's own identifier, once it has answered."""
        self._mutex = threading.Lock()

    @property
    def url(self) -> str:
        return self.backend.url

    def check_leases(self) -> None:
        """Raise unless this process still owns everything that it has acquired: it has then not been stopped for longer
        than a lease. Raises LostLeaseError, or StoreUnreachableError if the store cannot tell."""
        for lease in list(self.leases.values()):
            lease.check()

    def open(self, root: Path) -> str:
        """The store's own identifier. At first use it is checked whether the store can be used at all.

        `root` is the local store, which remembers the check. Raises StoreAccessError if the store cannot be used.
        """
        with self._mutex:
            if self.identifier is None:
                self.identifier = self._identify(root)
            return self.identifier

    def _identify(self, root: Path) -> str:
        check_mounted(self.backend, root)
        note = Notes(root, self.url).identity
        known = _read(note)
        found = self.backend.read(IDENTITY)
        if found is not None and known == (there := _parse(found.data, self.url)):
            return there
        probe(self.backend)
        self.clock.check(self.lease_seconds)
        if found is None:
            made = {"id": secrets.token_hex(8), "format": FORMAT}
            self.backend.create(IDENTITY, json.dumps(made).encode())
            found = self.backend.read(IDENTITY)
        if found is None:
            raise StoreUnreachableError(f"{self.url} does not hold what was just written to it")
        there = _parse(found.data, self.url)
        write_json(note, {"url": self.url, "id": there})
        return there


def check_mounted(backend: Backend, root: Path) -> None:
    """Raise StoreAccessError for a folder that was there before and is not now: a network folder that is not mounted,
    and never a new store. `root` is the local store, which remembers it; nothing is written."""
    note, folder = Notes(root, backend.url).identity, getattr(backend, "root", None)
    if isinstance(folder, Path) and _read(note) is not None and not (folder / IDENTITY).exists():
        raise StoreAccessError(
            f"{backend.url} is not there any more; mount it and type the same command again, or if it is gone for "
            f"good, delete {note}"
        )


def _parse(data: bytes, url: str) -> str:
    try:
        value = json.loads(data)
        identifier, version = str(value["id"]), int(value["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{url} is not a store of charpipe: its {IDENTITY} cannot be read") from error
    if version > FORMAT:
        raise StoreError(f"{url} was written by a later charpipe (format {version}); upgrade charpipe")
    return identifier


def _read(path: Path) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads(path.read_text(encoding="utf-8"))["id"])
    return None
