"""Paths as text: escaped for JSON, Parquet and databases where bytes are not UTF-8, and quoted for a shell."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from pathlib import Path

_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")


def printable(path: str) -> str:
    """`path` with bytes that are not UTF-8 escaped (`bad\\xff.txt`), so that JSON can store it."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def shell_word(path: str) -> str:
    """`path` as a word of a shell command: quoted where need be, and never an option."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def plain_key(text: str) -> str:
    """`text` as a part of a key in a shared store, unique to it: plain ASCII, with a digest if any was replaced."""
    bare = re.sub(r"[^A-Za-z0-9._=+,@-]", "_", text)[:80]
    if bare == text and bare.strip("."):
        return bare
    return f"{bare.lstrip('.') or 'name'}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def existing(text: str) -> Path | None:
    """The existing file or folder that `text` names, raw or escaped by `printable`; else None."""
    try:
        if os.path.lexists(text) and Path(text).exists():
            return Path(text)
        raw = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), os.fsencode(text))
        plain = Path(os.fsdecode(raw))
        return plain if "\\x" in text and plain.exists() else None
    except (OSError, ValueError):  # name too long, or contains NUL
        return None
