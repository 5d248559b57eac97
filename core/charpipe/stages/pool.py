"""Calls a function with several items at a time, in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def run_at_once(
    call: Callable[[T], R], items: Iterable[T], at_once: int, stop: Callable[[], None]
) -> Iterator[tuple[T, R]]:
    """Yield each item with what `call` returns for it, in order of completion, with `at_once` calls at a time.

    An item is taken from `items` only when there is room for its call, so that `items` may depend on earlier results.
    With one at a time, the calls are made in this thread. What a call raises is raised after the others have ended;
    no further item is taken then, and `stop` is called, which asks the others to end soon.
    """
    if at_once == 1:
        for item in items:
            yield item, call(item)
        return
    with ThreadPoolExecutor(at_once, thread_name_prefix="at-once") as pool:
        try:
            yield from _calls(pool, call, iter(items), at_once)
        except BaseException:  # an interrupt in this thread, too
            stop()
            raise


def _calls(
    pool: ThreadPoolExecutor, call: Callable[[T], R], items: Iterator[T], at_once: int
) -> Iterator[tuple[T, R]]:
    running: dict[Future[R], T] = {}
    while True:
        for item in islice(items, at_once - len(running)):
            running[pool.submit(copy_context().run, call, item)] = item
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), future.result()
