"""Waiting for another process: as long as that takes on a busy machine, but not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

LIMIT = 600.0
"""Seconds after which a process counts as hanging. No test measures time by it."""
INTERVAL = 0.1


def until(
    find: Callable[[], Any], explain: Callable[[], object] = str, meanwhile: Callable[[], object] = str
) -> Any:
    """The first true value of `find()`, called again and again, with `meanwhile()` between the calls.

    Raises AssertionError with `explain()` where there is none within LIMIT."""
    deadline = time.monotonic() + LIMIT
    while not (found := find()):
        assert time.monotonic() < deadline, f"nothing within {LIMIT:.0f} s: {explain()}"
        meanwhile()
        time.sleep(INTERVAL)
    return found
