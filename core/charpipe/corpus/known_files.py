"""A cache of the digests of files, by path, size, times and inode, so that unchanged files are not read again.

It is a SQLite database that several processes may use at once. Losing it costs only time, so no error of it is one of
charpipe's.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from charpipe.store.digest import digest_of_file

NAME = "fingerprints.sqlite"
_FORMER_NAME = "fingerprints.json"
"""The cache of charpipe 0.1, which was loaded whole."""
_FORMER_BYTES = 64 * 2**20
_SETTLED_NS = 2 * 10**9
_HELD = 1 << 12
_TABLE = """
    CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, marks TEXT NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID
"""


class KnownFiles:
    """The cache in the folder `cache`."""

    def __init__(self, cache: Path) -> None:
        self._held: dict[bytes, tuple[str, str]] = {}
        self._database = _open(cache)

    def sha256(self, path: Path, found: os.stat_result) -> str:
        """The digest of a file with this status. Raises OSError if it must be read and cannot be."""
        key = os.fsencode(path.absolute())
        marks = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino} {found.st_dev}"
        if (known := self._find(key)) is not None and known[0] == marks:
            return known[1]
        if not stat.S_ISREG(found.st_mode):
            return "special file"
        digest = digest_of_file(path)
        # a file written just now could change again within the clock's resolution without a new time
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS:
            self._held[key] = (marks, digest)
            if len(self._held) >= _HELD:
                self._flush()
        return digest

    def _find(self, key: bytes) -> tuple[str, str] | None:
        if key in self._held or self._database is None:
            return self._held.get(key)
        with self._forgiven():
            found = self._database.execute(
                "SELECT marks, sha256 FROM files WHERE path = ?", (key,)
            ).fetchone()
            return found and (str(found[0]), str(found[1]))
        return None

    def _flush(self) -> None:
        with self._forgiven():
            if self._database is not None and self._held:
                rows = ((key, *value) for key, value in self._held.items())
                with self._database:
                    self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", rows)
        self._held = {}

    def save(self) -> None:
        """Write what is new, and close the cache."""
        self._flush()
        self._close()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None

    @contextlib.contextmanager
    def _forgiven(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error:
            self._close()


def _open(cache: Path) -> sqlite3.Connection | None:
    path = cache / NAME
    for _ in range(2):
        try:
            cache.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(path, check_same_thread=False)
        except (OSError, sqlite3.Error):
            return None
        try:
            database.execute("PRAGMA synchronous = OFF")
            with database:
                database.execute(_TABLE)
                _adopt(database, cache / _FORMER_NAME)
        except sqlite3.OperationalError:  # locked, or read-only
            database.close()
            return None
        except sqlite3.DatabaseError:  # damaged
            database.close()
            path.unlink(missing_ok=True)
        else:
            return database
    return None


def _adopt(database: sqlite3.Connection, former: Path) -> None:
    """Move the entries of the cache of charpipe 0.1 into the database."""
    try:
        known = json.loads(former.read_bytes()) if former.stat().st_size <= _FORMER_BYTES else {}
        former.unlink()
        entries = known.items() if isinstance(known, dict) else ()
    except (OSError, ValueError):
        return
    rows = (
        (os.fsencode(path), " ".join(map(str, value[:5])), value[5])
        for path, value in entries
        if isinstance(value, list) and len(value) == 6 and isinstance(value[5], str)
    )
    database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", rows)
