"""The content of each file of a folder, in a temporary database: a mapping that needs no memory for every file."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from charpipe.store.paths import printable
from charpipe.store.sqlite import temporary_database

_ROWS = 1 << 10


class Contents(Mapping[str, str]):
    """The SHA-256 of each file by its relative path, or the reason why it cannot be read."""

    def __init__(self) -> None:
        self._held: list[tuple[str, bytes | None, str]] = []
        self._count = 0

    @cached_property
    def _database(self) -> sqlite3.Connection:
        database = temporary_database(Path(tempfile.gettempdir()))
        weakref.finalize(self, database.close)
        database.execute("CREATE TABLE contents (at INTEGER PRIMARY KEY, name TEXT, path BLOB, content TEXT)")
        database.execute("CREATE INDEX names ON contents (name)")
        return database

    def add(self, path: str, content: str) -> None:
        """Add a file, whose path is new."""
        name = printable(path)
        self._held.append((name, None if name == path else os.fsencode(path), content))
        self._count += 1
        if len(self._held) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        insert = "INSERT INTO contents (name, path, content) VALUES (?, ?, ?)"
        self._database.executemany(insert, self._held)
        self._held = []

    @property
    def by_printed_path(self) -> _Printed:
        """The same contents by the paths as they are stored with documents."""
        return _Printed(self)

    def __getitem__(self, path: str) -> str:
        self._flush()
        name = printable(path)
        raw = None if name == path else os.fsencode(path)
        query = "SELECT content FROM contents WHERE name = ? AND path IS ?"
        found = self._database.execute(query, (name, raw)).fetchone()
        if found is None:
            raise KeyError(path)
        return str(found[0])

    def printed(self, name: str) -> str | None:
        """The content of the file whose path is printed as `name`; of the last of them, if there are several."""
        self._flush()
        query = "SELECT content FROM contents WHERE name = ? ORDER BY at DESC LIMIT 1"
        found = self._database.execute(query, (name,)).fetchone()
        return None if found is None else str(found[0])

    def __iter__(self) -> Iterator[str]:
        self._flush()
        for name, path in self._database.execute("SELECT name, path FROM contents ORDER BY at"):
            yield name if path is None else os.fsdecode(path)

    def __len__(self) -> int:
        return self._count


class _Printed:
    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def get(self, path: str, /) -> str | None:
        return self._contents.printed(path)
