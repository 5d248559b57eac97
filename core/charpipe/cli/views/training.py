"""How far one training is, as text: its steps, metrics, speed and the time left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from charpipe.cli.views.sparkline import Curve
from charpipe.events import Evaluated, Event, Reported, Sampled, Step, TrainingStarted
from charpipe.stages.units import size

RATE_WINDOW = 3.0
"""Seconds over which the speed is averaged."""
IN_TRAINING_LINE = ("val/loss", "val/bits_per_char", "perf/chars_per_second")
LOSSES = {"train/loss": "train", "val/loss": "val"}
"""The losses with a curve, and what they are called there."""
CURVE = 24
"""Columns of a curve at most."""
LEFT_SMOOTHING = 10.0
"""Seconds in which the time left comes most of the way to a new estimate."""


@dataclass
class TrainingProgress:
    """Takes in the events of one training."""

    model: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    step: Step | None = None
    sampled: Sampled | None = None
    losses: dict[str, Curve] = field(default_factory=dict)
    """The curve of each of `LOSSES`."""
    _seconds_left: float | None = None
    _marks: list[tuple[float, int]] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case TrainingStarted():
                self.model = f"{event.model} · {event.device} {event.precision}"
            case Step():
                self._step(event)
            case Reported(metrics=metrics):
                self.metrics = {**self.metrics, **metrics}
                self._add_to_curve("train/loss", metrics)
            case Evaluated(metrics=metrics):  # the training loss since the last report is the newer one
                self.metrics = {**metrics, **self.metrics, **_not_reported(metrics)}
                self._add_to_curve("val/loss", metrics)
            case Sampled():
                self.sampled = event
            case _:
                pass

    def _add_to_curve(self, name: str, metrics: Mapping[str, float]) -> None:
        if name in metrics:
            self.losses.setdefault(name, Curve()).add(metrics[name])

    def curves(self, room: int | None = None) -> str:
        """The losses so far as sparklines, each with its newest value; "" before there are two values of one."""
        known = {
            name: self.losses[name] for name in LOSSES if name in self.losses and self.losses[name].seen > 1
        }
        width = CURVE if room is None else min(CURVE, (room - len("loss")) // max(1, len(known)) - 18)
        if not known or width < 4:
            return ""
        parts = [f"{LOSSES[name]} {curve.sparkline(width)} {curve.last:.3f}" for name, curve in known.items()]
        return f"loss  {'   '.join(parts)}"

    def _step(self, event: Step) -> None:
        before, self.step = self.step, event
        self._marks.append((event.seconds, event.step * event.tokens))
        while len(self._marks) > 2 and event.seconds - self._marks[0][0] > RATE_WINDOW:
            self._marks.pop(0)
        self._smooth(event, before)

    def _smooth(self, event: Step, before: Step | None) -> None:
        """Let the time left follow the newest estimate slowly, never above what is left of the budget."""
        if event.steps is None or not self.rate:
            return
        estimate = (event.steps - event.step) * event.tokens / self.rate
        if before is not None and self._seconds_left is not None:
            passed = max(0.0, event.seconds - before.seconds)
            expected = max(0.0, self._seconds_left - passed)
            share = 1 - math.exp(-passed / LEFT_SMOOTHING)
            estimate = expected + share * (estimate - expected)
        if event.step >= event.steps:
            estimate = 0.0
        bound = math.inf if event.budget_left is None else event.budget_left
        self._seconds_left = min(estimate, bound)

    @property
    def rate(self) -> float:
        """Characters a second, lately."""
        (t0, n0), (t1, n1) = self._marks[0], self._marks[-1]
        return (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0

    @property
    def share(self) -> float | None:
        """How much of the steps is done, if it is known."""
        return self.step.step / self.step.steps if self.step and self.step.steps else None

    def training(self, bar: str = "", room: int | None = None) -> str:
        """The training line: step, bar, validation, speed, time left.

        Where there is `room` for so many columns only, bits per character, the bar, the validation loss and the total
        of steps are left out, in this order: speed and time left stay.
        """
        if self.step is None:
            return "starting"
        total = f" of {self.step.steps:,}" if self.step.steps else ""
        done, time_left = f"step {self.step.step:,}", self._speed_and_time_left()
        variants = (
            (done + total, bar, self._scores(), *time_left),
            (done + total, bar, self._scores(bits=False), *time_left),
            (done + total, self._scores(bits=False), *time_left),
            (done + total, *time_left),
            (done, *time_left),
        )
        lines = ["  ".join(part for part in parts if part) for parts in variants]
        return next((line for line in lines if room is None or len(line) <= room), lines[-1])

    def _speed_and_time_left(self) -> list[str]:
        if self.step is None or len(self._marks) < 2:
            return []
        left = self._left() if self.step.steps else None
        return [f"{size(self.rate)} chars/s", *([f"{left} left"] if left is not None else [])]

    def _scores(self, bits: bool = True) -> str:
        if "val/loss" not in self.metrics:
            return ""
        found = self.metrics.get("val/bits_per_char") if bits else None
        return f"val {self.metrics['val/loss']:.3f} nats" + (f", {found:.3f} bits/char" if found else "")

    def measured(self, room: int | None = None) -> str:
        """The metrics that the training line leaves out, by name: as many as `room` columns hold."""
        parts = [
            f"{name} {value:.4g}" for name, value in self.metrics.items() if name not in IN_TRAINING_LINE
        ]
        while room is not None and len("  ".join(parts)) > room and parts:
            parts.pop()
        return "  ".join(parts)

    def _left(self) -> str | None:
        if self.step is None or self._seconds_left is None:
            return None
        seconds = self._seconds_left
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}:{rest:02}"


def _not_reported(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith("train/")}
