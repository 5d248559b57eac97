"""SQLAlchemy's URL of a SQLite file, whatever characters its path holds."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


def database_url(path: Path, driver: str = "sqlite") -> str:
    """The URL of the database at the absolute `path`.

    A plain URL ends at a question mark and must be Unicode text: such paths are given as SQLite's own escaped URI.
    """
    raw = os.fsencode(path)
    if b"?" not in raw and raw == os.fspath(path).encode("utf-8", "replace"):
        return f"{driver}:///{path}"
    return f"{driver}:///file:{quote(raw)}?uri=true"
