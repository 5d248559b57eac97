"""Paths as text that JSON, Parquet and databases can hold, whatever bytes a file system allows."""

from __future__ import annotations

import os
import re
from pathlib import Path

_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


def printable(path: str) -> str:
    """A path whose bytes are not UTF-8 with those bytes escaped (`bad\\xff.txt`), so that JSON can hold it."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def existing(text: str) -> Path | None:
    """The file or folder that `text` names, escaped as `printable` does or not; None where there is none."""
    try:
        if os.path.lexists(text) and Path(text).exists():
            return Path(text)
        raw = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), os.fsencode(text))
        plain = Path(os.fsdecode(raw))
        return plain if "\\x" in text and plain.exists() else None
    except (OSError, ValueError):  # too long for a name, or a NUL within
        return None
