"""The folder of compiled code: in the user's cache, never beside the source."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

UNUSED = 90 * 24 * 3600
"""Seconds after which a folder that no process has asked for is removed."""
DIGEST = 32
"""Bytes of the SHA-256 that an object file in the cache begins with."""
SOURCES = Path(__file__).parents[1]
"""The package whose functions are compiled."""


@cache
def cache_folder() -> Path | None:
    """The folder for compiled code: in `NUMBA_CACHE_DIR`, else in the user's cache; None where it cannot be written.

    numba checks the source file of a function but not those of the functions that it calls, so the folder's name is
    a digest of all kernel sources: after any change there, everything is compiled anew.
    """
    from platformdirs import user_cache_path

    sources = sorted(SOURCES.rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    given = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(given) if given else user_cache_path("charpipe", appauthor=False) / "compiled"
    folder = base / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    except OSError:
        return None
    _remove_unused(folder)
    return folder if os.access(folder, os.W_OK) else None


def _remove_unused(folder: Path) -> None:
    """Remove the folders of other versions that have not been used for `UNUSED` seconds."""
    with suppress(OSError):
        for other in folder.parent.iterdir():
            old = time.time() - other.stat().st_mtime > UNUSED
            if old and other != folder and re.fullmatch(r"[0-9a-f]{16}", other.name):
                shutil.rmtree(other, ignore_errors=True)


def read_object(name: str) -> bytes | None:
    """The object file of that name, or None where there is none or a damaged one: half an object would crash."""
    path = _path(name)
    with suppress(OSError):
        kept = path.read_bytes() if path else b""
        digest, compiled = kept[:DIGEST], kept[DIGEST:]
        return compiled if digest == hashlib.sha256(compiled).digest() else None
    return None


def write_object(name: str, compiled: bytes) -> None:
    """Keep an object file under that name, atomically; does nothing where the cache cannot be written."""
    path = _path(name)
    if path is None:
        return
    half = path.with_name(f".{path.name}-{os.getpid()}")
    with suppress(OSError):
        half.write_bytes(hashlib.sha256(compiled).digest() + compiled)
        half.replace(path)
    with suppress(OSError):
        half.unlink()  # left over where the disk is full


def _path(name: str) -> Path | None:
    folder = cache_folder()
    return folder / f"{name}.o" if folder is not None else None
