"""Whether the cores of other threads are free: what this process found out when it last waited for them."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

FIRST, LONGEST = 0.25, 4.0
"""Seconds of work by one thread after others were late: at first, and at most; they double each time."""


class Company:
    """Says when work is worth sharing with other threads. Other programs are the machine's, not a text's, so that all
    streams of a process share what it knows."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock, self._until, self._pause = clock, 0.0, FIRST

    def is_free(self) -> bool:
        """Whether other threads kept up when they were last asked, or that is long enough ago to ask them again."""
        return self._clock() >= self._until

    def kept_up(self) -> None:
        """Others did their part in time."""
        self._pause = FIRST

    def was_late(self) -> None:
        """Others kept this thread waiting."""
        self._until = self._clock() + self._pause
        self._pause = min(2 * self._pause, LONGEST)
