"""Measures how much processor time other programs use while this process runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

Clock = Callable[[], tuple[float, float, float] | None]
"""Seconds now, processor seconds that all programs used, and those that this process used; None where unknown."""
DISTURBING = 0.25
"""Cores that others may use of those that a training needs before its times say little."""
SHORTEST = 0.1
"""Seconds from which on the system's count, in hundredths of a second, says something."""
SAMPLE_SECONDS = 0.25


def clock() -> tuple[float, float, float] | None:
    """The times of the cores that this process may use."""
    try:
        import psutil

        every, mine = psutil.cpu_times(percpu=True), os.times()
    except Exception:  # missing, or a system that hides them
        return None
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(every))
    kinds = ("user", "nice", "system", "irq", "softirq")
    used = sum(getattr(core, kind, 0.0) for n, core in enumerate(every) if n in allowed for kind in kinds)
    return time.monotonic(), used, mine.user + mine.system


class OtherPrograms:
    """Measures from its creation."""

    def __init__(self, clock: Clock = clock) -> None:
        self._clock, self._began = clock, clock()

    def cores(self) -> float:
        """How many cores other programs have kept busy since; 0 if unknown."""
        began, now = self._began, self._clock()
        if began is None or now is None or now[0] - began[0] < SHORTEST:
            return 0.0
        seconds, used, own = (after - before for after, before in zip(now, began, strict=True))
        return max(0.0, used - own) / seconds

    def disturb(self, threads: int) -> bool:
        """Whether they kept busy cores that this number of threads needs."""
        return self.cores() > cores_here() - threads + DISTURBING


def cores_here() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def disturb_now(threads: int, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Whether other programs now keep busy cores that this number of threads needs."""
    others = OtherPrograms()
    sleep(SAMPLE_SECONDS)
    return others.disturb(threads)
