"""Which paths of an archive were seen before: a few in memory, more in a temporary database."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from charpipe.store.sqlite import temporary_database

FEW = 1 << 16
"""Paths that are kept in memory."""


class SeenPaths:
    """A set of paths, by a hash of 64 bits."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._database: sqlite3.Connection | None = None

    def add(self, path: str) -> bool:
        """Add a path; returns whether it is new."""
        key = hash(path)
        if self._database is not None:
            added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,))
            return added.rowcount == 1
        if key in self._seen:
            return False
        self._seen.add(key)
        if len(self._seen) > FEW:
            self._spill()
        return True

    def _spill(self) -> None:
        self._database = temporary_database(Path(tempfile.gettempdir()))
        self._database.execute("CREATE TABLE seen (path INTEGER PRIMARY KEY)")
        self._database.executemany("INSERT INTO seen VALUES (?)", ((key,) for key in self._seen))
        self._seen = set()
