"""Lanes are independent until the weights' gradient, so each thread sweeps through time with some of them, alone:
threads that wait for each other at every time step would wait for most of the time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch

LEAST_WORK = 500_000
"""Products in a time step below which a second thread costs more than it gains."""


def divide(count: int, parts: int) -> list[tuple[int, int]]:
    """So many consecutive stretches of `count` things, first and end of each."""
    ends = [round(count * part / parts) for part in range(parts + 1)]
    return [stretch for stretch in pairwise(ends) if stretch[0] < stretch[1]]


def parts_for(lanes: int, products: int) -> int:
    """How many threads share a sweep in which each lane needs so many products a step."""
    return max(1, min(torch.get_num_threads(), lanes, lanes * products // LEAST_WORK))


def in_parallel(work: Callable[[int, int], None], stretches: list[tuple[int, int]]) -> None:
    """`work(first, end)` for each stretch, one thread each. Raises what a thread raised."""
    if len(stretches) == 1:
        work(*stretches[0])
        return
    for done in [_pool(len(stretches)).submit(work, *stretch) for stretch in stretches]:
        done.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads whose own products use no further threads."""
    before = torch.get_num_threads()
    all_there = threading.Barrier(threads)

    def begin() -> None:
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)

    pool = ThreadPoolExecutor(threads, thread_name_prefix="lanes", initializer=begin)
    for waiting in [pool.submit(all_there.wait) for _ in range(threads)]:
        waiting.result()
    torch.set_num_threads(before)  # the number that later threads of torch's own begin with
    return pool
