"""Functions compiled by numba, kept in the cache of `cache_folder`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from charpipe.kernels.jit.cache import cache_folder

if TYPE_CHECKING:
    Function = TypeVar("Function", bound=Callable[..., Any])

FLOATS = {"contract", "nsz"}
"""LLVM's fast-math flags: a product and a sum may become one FMA. Nothing is reordered, and NaN stays NaN."""


@cache
def can_compile() -> bool:
    """Whether numba is installed and works with this Python."""
    if find_spec("numba") is None:
        return False
    try:
        import numba  # noqa: F401
    except Exception:  # a numba that does not fit this numpy fails on import, in several ways
        return False
    return True


def compiled(function: Function) -> Function:
    """`numba.njit` of a function: compiled at its first call, without the GIL, and kept in the cache."""
    import numba

    with cached_in(cache_folder()) as cached:
        made: Function = numba.njit(nogil=True, fastmath=FLOATS, error_model="numpy", cache=cached)(function)
    return made


@contextmanager
def cached_in(folder: Path | None) -> Iterator[bool]:
    """While this lasts, numba puts its cache into `folder`; yields whether there is one."""
    import numba

    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder or "")
    try:
        yield folder is not None
    finally:
        numba.config.CACHE_DIR = before
