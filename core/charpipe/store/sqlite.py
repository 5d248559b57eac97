"""SQLite files: temporary databases, and SQLAlchemy URLs for paths with any characters."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from charpipe.errors import StoreError


def database_url(path: Path, driver: str = "sqlite") -> str:
    """The SQLAlchemy URL of the database at the absolute `path`.

    A path with a question mark, or with bytes that are not UTF-8, does not fit in a plain URL and is given as SQLite's
    escaped URI. The URI form names the driver, because MLflow treats what follows `sqlite:///` as a path and creates
    a folder for it.
    """
    raw = os.fsencode(path)
    if b"?" not in raw and raw == os.fspath(path).encode("utf-8", "replace"):
        return f"{driver}:///{path}"
    named = "sqlite+pysqlite" if driver == "sqlite" else driver
    return f"{named}:///file:{quote(raw)}?uri=true"


def plain_url(url: str) -> str:
    """The URL of a SQLite file with its path unescaped, for display; other URLs are returned unchanged."""
    head, found, rest = url.partition(":///file:")
    if not found or not head.startswith("sqlite") or not rest.endswith("?uri=true"):
        return url
    return "sqlite:///" + unquote(rest.removesuffix("?uri=true"), errors="backslashreplace")


def temporary_database(folder: Path) -> sqlite3.Connection:
    """An empty database for this process alone: a file in `folder` that has no name, and is gone when it is closed.

    Tables that would need memory for every document are kept in one instead. It is in one transaction, which
    `executescript` ends: without one every row that is inserted is written by itself.
    """
    handle, path = tempfile.mkstemp(dir=folder, prefix=".temporary-", suffix=".sqlite")
    os.close(handle)
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    Path(path).unlink()
    database.executescript(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768; PRAGMA temp_store = FILE;"
        "PRAGMA locking_mode = EXCLUSIVE; BEGIN;"
    )
    return database


@contextmanager
def database_errors(subject: str) -> Iterator[None]:
    """Raises StoreError where a temporary database cannot be used, as on a full disk."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"{subject}: a temporary database cannot be used ({error}); nothing was kept. Make room on the disk, or "
            "set TMPDIR to a folder on another one"
        ) from error
