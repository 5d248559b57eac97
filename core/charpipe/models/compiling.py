"""How loops are compiled by numba, and where compiled code is kept: in the user's cache, never beside the source."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    Function = TypeVar("Function", bound=Callable[..., Any])

UNUSED = 90 * 24 * 3600
"""Seconds after which what no process asked for any more is removed."""
FLOATS = {"contract", "nsz"}
"""Products and sums may become one instruction; nothing is reordered, and what is not a number stays so."""


@cache
def can_compile() -> bool:
    """Whether numba is installed and works with this Python."""
    if find_spec("numba") is None:
        return False
    try:
        import numba  # noqa: F401
    except Exception:  # a numba that does not fit this numpy says so on import, in several ways
        return False
    return True


@cache
def cache_folder() -> Path | None:
    """Where compiled code is kept: `NUMBA_CACHE_DIR`, else the user's cache; None where nothing can be written.

    Nobody sees there that a loop called by another has changed, so a folder within is named after all the sources.
    """
    from platformdirs import user_cache_path

    sources = [*sorted(Path(__file__).parent.rglob("*.py")), *sorted(_generation().glob("*.py"))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    given = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(given) if given else user_cache_path("charpipe", appauthor=False) / "compiled"
    folder = base / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
    except OSError:
        return None
    _forget_others(folder)
    return folder if os.access(folder, os.W_OK) else None


def _forget_others(folder: Path) -> None:
    """Remove what other versions compiled and have not used for long."""
    with suppress(OSError):
        for other in folder.parent.iterdir():
            old = time.time() - other.stat().st_mtime > UNUSED
            if old and other != folder and re.fullmatch(r"[0-9a-f]{16}", other.name):
                shutil.rmtree(other, ignore_errors=True)


def compiled(function: Function, fastmath: set[str] = FLOATS, inline: str = "never") -> Function:
    """`function`, compiled when it is first called, without Python's lock."""
    import numba

    folder = cache_folder()
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder or "")
    try:
        made: Function = numba.njit(
            nogil=True, fastmath=fastmath, error_model="numpy", cache=folder is not None, inline=inline
        )(function)
        return made
    finally:
        numba.config.CACHE_DIR = before


def _generation() -> Path:
    return Path(__file__).parent.with_name("generation")
