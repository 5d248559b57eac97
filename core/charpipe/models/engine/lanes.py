"""Work divided among threads: each does its share alone, and all are waited for once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

LEAST_WORK = 3e7
"""Products below which a second thread costs more than it gains."""
Piece = Callable[[], None]
"""Work that may be done beside other such work."""


def divide(count: int, parts: int, multiple: int = 1) -> list[tuple[int, int]]:
    """So many consecutive stretches of `count` things, first and end of each; all but the last in multiples."""
    whole = -(-count // multiple)
    ends = [min(count, round(whole * part / parts) * multiple) for part in range(parts + 1)]
    return [stretch for stretch in pairwise(ends) if stretch[0] < stretch[1]]


def threads_for(lanes: int, products: float, most: int) -> int:
    """How many threads share an update that needs so many products."""
    return max(1, min(most, lanes, int(products / LEAST_WORK)))


def do_all(pieces: Sequence[Piece]) -> None:
    """One piece after the other."""
    for piece in pieces:
        piece()


def in_parallel(work: Sequence[Piece]) -> None:
    """Each piece of work by a thread of its own, the first by this one. Raises what a thread raised."""
    others = [_pool(len(work) - 1).submit(piece) for piece in work[1:]]
    try:
        work[0]()
    finally:
        try:
            wait(others)
        finally:
            wait(others)  # they write to memory that nobody may free, however often one is interrupted
    for done in others:
        done.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="lanes")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads stay behind in the parent
