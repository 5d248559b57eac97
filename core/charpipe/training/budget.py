"""A budget of time becomes a number of steps: the rate is measured for a moment on a copy that is
thrown away, so that training under a budget is exactly training for that many steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

SHARE = 0.03
"""Of the budget, for measuring."""
LEAST, MOST = 5, 200
"""Steps measured."""
CERTAIN = 4
"""If even the slowest step measured, taken so many times, leaves time for all, there is nothing more to know."""
OTHER_WORK = 0.06
"""Of the budget, for evaluation, samples and checkpoints."""


def steps_within(
    seconds: float, step: Callable[[int], None], most: int, stop: Callable[[], bool] = lambda: False
) -> int:
    """How many calls of `step(i)` fit into `seconds`, measuring included; between 1 and `most`. Once `stop()` is true
    it measures no more."""
    began = time.perf_counter()
    times: list[float] = []
    for number in range(MOST):
        before = time.perf_counter()
        step(number)
        times.append(time.perf_counter() - before)
        enough = time.perf_counter() - began > seconds * SHARE or most * max(times) * CERTAIN < seconds
        if stop() or (number + 1 >= LEAST and enough):
            break
    # The first steps also allocate memory and warm caches up.
    rate = median(times[len(times) // 3 :])
    left = seconds * (1 - OTHER_WORK) - (time.perf_counter() - began)
    return max(1, min(most, int(left / rate)))
