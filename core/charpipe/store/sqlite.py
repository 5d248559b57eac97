"""SQLAlchemy's URL of a SQLite file, whatever characters its path holds."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, unquote


def database_url(path: Path, driver: str = "sqlite") -> str:
    """The URL of the database at the absolute `path`.

    A plain URL ends at a question mark and must be Unicode text: such paths are given as SQLite's own escaped URI. The
    driver is spelled out there, for MLflow takes what follows `sqlite:///` for a path and makes a folder of it.
    """
    raw = os.fsencode(path)
    if b"?" not in raw and raw == os.fspath(path).encode("utf-8", "replace"):
        return f"{driver}:///{path}"
    named = "sqlite+pysqlite" if driver == "sqlite" else driver
    return f"{named}:///file:{quote(raw)}?uri=true"


def plain_url(url: str) -> str:
    """The URL of a SQLite file with its path unescaped, for people; any other URL as it is."""
    head, found, rest = url.partition(":///file:")
    if not found or not head.startswith("sqlite") or not rest.endswith("?uri=true"):
        return url
    return "sqlite:///" + unquote(rest.removesuffix("?uri=true"), errors="backslashreplace")
