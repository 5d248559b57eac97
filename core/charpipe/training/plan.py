"""The plan of a training: how many updates it makes, with its revisions. A recorded plan can be replayed bit for bit.

The learning rate depends on the progress, between 0 and 1. A revision after `step` updates keeps the progress and
changes how fast it continues to 1, so the learning rate never jumps.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from charpipe.errors import RunError

EVALUATIONS = 20
"""Evaluations in a run, where `evaluate_every` is unset."""
LONGEST_INTERVAL = 1000
MOST_STEPS = 2**53
"""Up to this number steps are exact as floats, too."""
SEGMENTS = [int, int, float, int], [int, int, int, int]
"""The types of a recorded segment's four numbers."""


class Segment(NamedTuple):
    """From update `step` on, the training has `steps` updates in all. `position` is the progress at `step`, in updates
    of a training of that length. Where `evaluate_every` is unset, there are `evaluations` in the whole progress."""

    step: int
    steps: int
    position: float
    evaluations: int = EVALUATIONS

    @property
    def interval(self) -> int:
        """Steps between two evaluations, approximately, where `evaluate_every` is unset."""
        return max(1, min(self.steps // EVALUATIONS, LONGEST_INTERVAL))

    @property
    def linear(self) -> bool:
        """Whether the position equals the number of updates made: there was no revision."""
        return self.position == self.step

    def position_after(self, done: int) -> float:
        """The position after `done` updates."""
        if self.steps <= self.step:
            return float(self.steps)
        return self.position + (self.steps - self.position) * (done - self.step) / (self.steps - self.step)


@dataclass(frozen=True)
class Plan:
    """The segments of a training, in order of their steps."""

    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, steps: int) -> Plan:
        """A plan of `steps` updates without revisions."""
        return cls((Segment(0, steps, 0.0),))

    @classmethod
    def from_json(cls, value: Any) -> Plan:
        """Read what `to_json` returned. Raises RunError where it is invalid."""
        if not isinstance(value, list) or not value or not all(map(_is_segment, value)):
            raise RunError("the recorded plan of steps cannot be read; name another checkpoint")
        found = tuple(Segment(step, steps, float(position), count) for step, steps, position, count in value)
        starts = [segment.step for segment in found]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise RunError("the recorded plan of steps is in no order; name another checkpoint")
        return cls(found)

    def to_json(self) -> list[list[float]]:
        """`[[step, steps, position, evaluations], ...]`."""
        return [list(segment) for segment in self.segments]

    @property
    def steps(self) -> int:
        """Updates in all, as planned now."""
        return self.segments[-1].steps

    def extended(self, segment: Segment) -> Plan:
        """The plan with one more segment; one at the same step is replaced."""
        return Plan((*(old for old in self.segments if old.step < segment.step), segment))

    def restarted(self, step: int, steps: int) -> Plan:
        """The plan continued from `step` as if it had `steps` updates from its start: the user changed the length."""
        return self.extended(Segment(step, steps, float(step)))

    def revised(self, step: int, steps: int, evaluations: int = EVALUATIONS) -> Plan:
        """The plan with another number of steps from `step` on, where the progress stays as it is."""
        return self.extended(Segment(step, steps, self.progress(step) * steps, evaluations))

    def position(self, done: int) -> tuple[float, int]:
        """The progress after `done` updates: a number of updates, which may be a fraction, and of how many."""
        place = bisect_left(self.segments, done, key=lambda segment: segment.step)
        segment = self.segments[max(0, place - 1)]
        return segment.position_after(done), segment.steps

    def progress(self, done: int) -> float:
        """The progress after `done` updates, between 0 and 1."""
        position, steps = self.position(done)
        return min(1.0, position / steps) if steps else 1.0

    def ended(self, step: int) -> Plan:
        """The plan that ends after `step` updates, whatever the progress."""
        return self.extended(Segment(step, step, float(step)))

    def evaluations_between(self, earlier: int, later: int) -> int:
        """How many evaluations are due after update `earlier` up to update `later`, where `evaluate_every` is unset.
        Each segment counts for the updates during which it was in force."""
        found = 0
        for place, segment in enumerate(self.segments):
            last = place + 1 == len(self.segments)
            begin = max(earlier, segment.step - 1) if place else earlier
            end = later if last else min(later, self.segments[place + 1].step - 1)
            if begin < end:
                found += self._evaluations(segment, begin, end)
        return found

    def _evaluations(self, segment: Segment, begin: int, end: int) -> int:
        if segment.linear:
            return end // segment.interval - begin // segment.interval
        count = segment.evaluations
        return math.floor(self.progress(end) * count) - math.floor(self.progress(begin) * count)

    @property
    def interval(self) -> int:
        """Steps between two evaluations, approximately, as planned now."""
        return self.segments[-1].interval


def _is_segment(value: Any) -> bool:
    """Whether `value`, read from JSON, is a segment as `to_json` gives it."""
    if not isinstance(value, list) or [type(each) for each in value] not in SEGMENTS:
        return False
    step, steps, position, count = value
    return bool(0 <= step <= steps <= MOST_STEPS and 0 <= position <= steps and 1 <= count <= MOST_STEPS)


def rest_of(plan: Plan, current: Plan, step: int) -> Sequence[Segment]:
    """The segments of `plan` that are still to come after `step` updates of a training whose plan is `current`. Raises
    RunError where `current` is not how `plan` starts."""
    known = len(current.segments)
    rest = plan.segments[known:]
    if plan.segments[:known] != current.segments or any(segment.step <= step for segment in rest[:1]):
        raise RunError(
            "the training to resume has another plan of steps; leave the plan out, or train a new run"
        )
    return rest
