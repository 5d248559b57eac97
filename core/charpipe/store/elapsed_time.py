"""Elapsed time by a clock that nobody sets and that counts the time a machine sleeps."""

from __future__ import annotations

import time


def elapsed_seconds() -> float:
    """Seconds since an arbitrary moment. On Linux they include those that the machine was suspended, which
    `time.monotonic` leaves out: a laptop that wakes up must not believe that its lease has just been renewed."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)
