"""Turns a time budget into a number of steps.

The first number is measured on a copy of the model before training; the plan is then revised during training, so that
it ends when the budget does, whatever else the machine has to do.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from statistics import median

from charpipe.training.plan import EVALUATIONS, LONGEST_INTERVAL, Plan, Segment

SHARE = 0.012
"""Share of the budget for measuring before training. One step is measured in any case."""
MIN_MEASURED, MAX_MEASURED = 5, 200
"""Steps measured: at least, if the budget allows, and at most."""
CERTAIN = 4
"""Measuring ends early where `most` steps fit even if each took so many times the slowest one measured."""
OTHER_WORK = 0.06
"""Share of the budget for evaluations, samples and checkpoints, until they have been measured."""
TARGET, LIMIT, EARLIEST = 0.975, 1.0, 0.92
"""Shares of the budget: TARGET is where a plan ends. Training stops at LIMIT even if its plan has not ended, and does
not end before EARLIEST even if its plan has."""
CHECKS_APART, NEARER = 0.01, 0.25
"""Time between two checks of the plan: the first as a share of the budget, at most the second of what is left."""
TOLERANCE, EARLY_TOLERANCE = 0.01, 0.08
"""A plan is kept while it ends within the first as a share of the budget, or the second as a share of the rest."""
WINDOW, BUCKETS = 0.05, 8
"""The speed is measured over the latest WINDOW of the budget (a share), in BUCKETS parts."""
ENOUGH = 4
"""From so many steps on the slowest one is left out: a pause of the machine is not a lower speed."""
FINAL_STEPS = 8
"""Steps in which the learning rate falls to its end, at least, if there is time for them before LIMIT."""
EVALUATION_SHARE, FEWEST_EVALUATIONS = 0.1, 2
"""Share of the time left that evaluations may take: otherwise there are fewer of them, down to FEWEST_EVALUATIONS."""


def steps_within(
    seconds: float, step: Callable[[int], object], most: int, stop: Callable[[], bool] = lambda: False
) -> int:
    """How many calls of `step(i)` fit into `seconds`, measuring included: between 1 and `most`. Measuring ends when
    `stop()` becomes true."""
    started = time.perf_counter()
    times: list[float] = []
    for number in range(MAX_MEASURED):
        before = time.perf_counter()
        step(number)
        times.append(time.perf_counter() - before)
        spent = time.perf_counter() - started + min(times) > seconds * SHARE
        if stop() or spent or (number + 1 >= MIN_MEASURED and most * max(times) * CERTAIN < seconds):
            break
    # The first steps also allocate memory and warm caches up.
    rate = median(times[len(times) // 3 :])
    left = seconds * (1 - OTHER_WORK) - (time.perf_counter() - started)
    return max(1, min(most, int(left / rate)))


class Speed:
    """The recent speed: seconds per step over a window of time, without its slowest step."""

    def __init__(self, window: float, expected: float) -> None:
        """`expected`: seconds per step until one has been measured."""
        self._part, self._expected = window / BUCKETS, expected
        self._parts: deque[list[float]] = deque(maxlen=BUCKETS)

    def add(self, seconds: float) -> None:
        """Add the duration of a step."""
        if not self._parts or self._parts[-1][1] >= self._part:
            self._parts.append([0, 0.0, 0.0])
        part = self._parts[-1]
        part[0] += 1
        part[1] += seconds
        part[2] = max(part[2], seconds)

    @property
    def seconds(self) -> float:
        """Seconds per step."""
        count = sum(part[0] for part in self._parts)
        total = sum(part[1] for part in self._parts)
        if not count:
            return self._expected
        if count >= ENOUGH:
            return max(1e-9, (total - max(part[2] for part in self._parts)) / (count - 1))
        return max(1e-9, total / count)


class Pace:
    """Keeps a training within its budget by revising its plan. It reads no clock; the caller gives the time."""

    def __init__(
        self, budget: float, plan: Plan, step: int, now: float, most: int, every: int | None = None
    ) -> None:
        """After `step` updates `now` seconds of the `budget` are spent. There are at most `most` updates in all.
        `every` is `evaluate_every`, where it is set."""
        self._budget, self._most, self._every = budget, most, every
        expected = max(1e-9, budget * (1 - OTHER_WORK) - now) / max(1, plan.steps - step)
        self._speed = Speed(budget * WINDOW, expected)
        self._evaluation = max(1.0, budget * OTHER_WORK / EVALUATIONS / expected)
        """Duration of an evaluation with its sample and checkpoint, in steps: it slows down as steps do."""
        self._measured, self._latest = False, 0.0
        self._last = now
        self._next = now + budget * CHECKS_APART
        self._next_step = step + self._stride(plan, step)

    def stepped(self, now: float) -> None:
        """A step has ended."""
        self._speed.add(max(0.0, now - self._last))
        self._last = now

    def evaluated(self, now: float) -> None:
        """An evaluation has ended, with its sample and checkpoint."""
        self._latest = max(0.0, now - self._last)
        taken = self._latest / self._speed.seconds
        self._evaluation = (self._evaluation + taken) / 2 if self._measured else taken
        self._measured, self._last = True, now

    def revision(self, plan: Plan, step: int, now: float, writing: float = 0.0) -> Segment | None:
        """The next segment of the plan, if it would end too early or too late, or if there is only time for the last
        evaluation; otherwise None. Writing a checkpoint takes `writing` seconds."""
        end = now + self._latest + min(self._speed.seconds / 2, self._budget * (LIMIT - EARLIEST))
        if step < plan.steps and end > self._budget * LIMIT:  # a further step ends further from the limit
            return plan.ended(step).segments[-1]
        if step >= self._most or (now < self._next and step < self._next_step):
            return None
        ended = step >= plan.steps
        if ended and now + self._latest >= self._budget * EARLIEST:
            return None
        left = self._budget * TARGET - now
        self._next = now + max(0.0, min(self._budget * CHECKS_APART, left * NEARER))
        segment = self._proposed(plan, step, left - writing)
        tolerance = max(self._budget * TOLERANCE, left * EARLY_TOLERANCE)
        miss = abs(left - writing - self._needed(plan, step))
        if not ended and (segment.steps == plan.steps or miss <= tolerance):
            self._next_step = step + self._stride(plan, step)
            return None
        self._next_step = step + self._stride(plan.extended(segment), step)
        return segment

    def _stride(self, plan: Plan, step: int) -> int:
        return max(1, int((plan.steps - step) * NEARER))

    def _needed(self, plan: Plan, step: int) -> float:
        """Seconds until the plan's end."""
        steps = plan.steps - step
        counted = plan.evaluations_between(step, plan.steps)
        evaluations = counted if self._every is None else steps / self._every
        return (steps + max(1.0, evaluations) * self._evaluation) * self._speed.seconds

    def _proposed(self, plan: Plan, step: int, left: float) -> Segment:
        """The segment that ends after `left` seconds."""
        fitting = left / self._speed.seconds  # in steps
        rest = 1 - plan.progress(step)
        count = EVALUATIONS
        if self._every is not None:
            steps = (fitting - self._evaluation) / (1 + self._evaluation / self._every)
        else:
            affordable = EVALUATION_SHARE * max(0.0, fitting) / max(self._evaluation * rest, 1e-9)
            wanted = max(EVALUATIONS, math.ceil((step + max(0.0, fitting)) / LONGEST_INTERVAL))
            count = int(max(FEWEST_EVALUATIONS, min(wanted, affordable)))
            steps = fitting - max(1.0, rest * count) * self._evaluation
        beyond = fitting + self._budget * (LIMIT - TARGET) / self._speed.seconds - self._evaluation
        steps = max(1.0, steps, min(FINAL_STEPS, beyond))
        total = max(step + 1, min(self._most, step + int(steps)))
        return plan.revised(step, total, count).segments[-1]
