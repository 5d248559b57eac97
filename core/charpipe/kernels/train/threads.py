"""Work partitioned among threads: each does its part alone, and all are waited for once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import pairwise

MIN_PRODUCTS = 3e7
"""Multiplications for each thread; with fewer, starting a thread costs more than it gains."""
Thunk = Callable[[], None]
"""A function without arguments that may run beside others."""


def partition(count: int, parts: int, multiple: int = 1) -> list[tuple[int, int]]:
    """`count` things in up to `parts` ranges (first, end) of nearly equal size. All ranges but the last have a multiple
    of `multiple` things."""
    units = -(-count // multiple)
    ends = [min(count, round(units * part / parts) * multiple) for part in range(parts + 1)]
    return [each for each in pairwise(ends) if each[0] < each[1]]


def thread_count(batch_size: int, products: float, most: int) -> int:
    """How many threads share an update of so many multiplications: at most one a stream."""
    return max(1, min(most, batch_size, int(products / MIN_PRODUCTS)))


def run_all(thunks: Sequence[Thunk]) -> None:
    """Run one after the other."""
    for thunk in thunks:
        thunk()


def run_parallel(thunks: Sequence[Thunk]) -> None:
    """Run each in a thread of its own, the first in this one. Raises what one of them raised."""
    others = [_pool(len(thunks) - 1).submit(thunk) for thunk in thunks[1:]]
    try:
        thunks[0]()
    finally:
        try:
            wait(others)
        finally:
            wait(others)  # again after an interrupt: they write to memory that must not be freed before
    for done in others:
        done.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has no threads
