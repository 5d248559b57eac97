"""Exponential backoff: for a while after other threads were late, work is not shared with them."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

FIRST_PAUSE, MAX_PAUSE = 0.25, 4.0
"""Seconds: of the first pause, and at most; each pause is twice as long as the one before."""


class Backoff:
    """Says when to try again what failed. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock, self._until, self._pause = clock, 0.0, FIRST_PAUSE

    def is_over(self) -> bool:
        """Whether no pause is running."""
        return self._clock() >= self._until

    def reset(self) -> None:
        """It succeeded: the next pause is as short as the first."""
        self._pause = FIRST_PAUSE

    def extend(self) -> None:
        """It failed: pause, and double the next pause."""
        self._until = self._clock() + self._pause
        self._pause = min(2 * self._pause, MAX_PAUSE)
