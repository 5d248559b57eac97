"""How far a pipeline is, as text: the state behind both the live picture and the plain lines."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size

from charpipe.events import (
    Evaluated,
    Event,
    Notice,
    Reported,
    Sampled,
    StageFailed,
    StageFinished,
    StageProgress,
    StagesPlanned,
    StageStarted,
    Step,
    TrainingStarted,
)
from charpipe.stages.units import duration, size

RATE_WINDOW = 3.0
"""Seconds over which the speed is averaged."""
IN_TRAINING_LINE = ("val/loss", "val/bits_per_char", "perf/chars_per_second")
LEFT_SMOOTHING = 10.0
"""Seconds in which the time left comes most of the way to a new estimate."""


@dataclass
class StageLine:
    """One line of the picture."""

    name: str
    state: str = "waiting"
    text: str = ""
    started: float = 0.0
    seconds: float = 0.0
    why: str = ""


@dataclass
class Progress:
    """Takes in events; `header` and the `stages` are what to show."""

    pipeline: str
    corpus: str
    model: str = ""
    stages: dict[str, StageLine] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    step: Step | None = None
    sampled: Sampled | None = None
    notices: list[Notice] = field(default_factory=list)
    learning: str = "train"
    """The stage in which there is training."""
    _at: str = ""
    _seconds_left: float | None = None
    _marks: list[tuple[float, int]] = field(default_factory=list)

    @property
    def header(self) -> str:
        """`charpipe  train-and-sample · linux_src · lstm 1x512 · cpu bfloat16`."""
        return "charpipe  " + " · ".join(part for part in (self.pipeline, self.corpus, self.model) if part)

    def without_told(self, lines: Iterable[str]) -> Iterator[str]:
        """`lines` without the warnings that notices have shown already."""
        shown = {f"warning: {notice.message}" for notice in self.notices}
        return (line for line in lines if line.strip() not in shown)

    @property
    def width(self) -> int:
        """What the names of stages take."""
        return max([12, *(len(name) + 2 for name in self.stages)])

    def plan(self, stages: Iterable[str]) -> None:
        """These stages are still to come."""
        for name in stages:
            self.stages.setdefault(name, StageLine(name))

    def take(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case StagesPlanned(stages=stages):
                self.plan(stages)
            case StageStarted(stage=name, why=why):
                self._at = name
                self.stages[name] = StageLine(name, "running", started=time.monotonic(), why=why)
            case StageProgress():
                self._advance(event)
            case StageFinished():
                self.stages[event.stage] = StageLine(
                    event.stage,
                    "cached" if event.skipped else "done",
                    event.summary,
                    seconds=event.seconds,
                    why=self.stages.get(event.stage, StageLine(event.stage)).why,
                )
            case StageFailed(stage=name, reason=reason):
                self.stages[name] = StageLine(name, "failed", reason)
            case TrainingStarted():
                self.learning = self._at or "train"
                self.step, self.metrics, self.sampled = None, {}, None
                self._marks.clear()
                self._seconds_left = None
                self.model = f"{event.model} · {event.device} {event.precision}"
            case Step():
                self._step(event)
            case Reported(metrics=metrics):
                self.metrics = {**self.metrics, **metrics}
            case Evaluated(metrics=metrics):  # the training loss since the last report is the newer one
                self.metrics = {**metrics, **self.metrics, **_not_reported(metrics)}
            case Sampled():
                self.sampled = event
            case Notice():
                self.notices.append(event)
            case _:
                pass

    def _advance(self, event: StageProgress) -> None:
        stage = self.stages.setdefault(event.stage, StageLine(event.stage, "running"))
        unit = "B" if event.unit == "bytes" else ""
        done = size(event.done, unit) + ("" if unit else f" {event.unit}")
        share = f"  {100 * event.done / event.total:.0f} %" if event.total else ""
        stage.text = f"{done}{share}"

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
            return self.stages[self.learning].text or "starting"
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

    def outcome(self, stage: StageLine) -> str:
        """How long a stage took, or that it was there already."""
        if stage.state == "failed":
            return ""
        return "cached" if stage.state == "cached" else duration(stage.seconds)


def one_line(text: str, width: int) -> str:
    """`text` on one line of at most `width` characters, its line breaks shown."""
    flat = text.replace("\n", "⏎").replace("\t", "→").replace("\r", "␍")
    printable = "".join(letter if letter.isprintable() else "·" for letter in flat)
    return printable if len(printable) <= width else printable[: max(width - 1, 0)] + "…"


RUN_NAME = re.compile(r"\b\d{8}-\d{4}-\S*-([0-9a-f]{4})\b")


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` terminal columns: with the short names of runs, then with fewer words; no word is cut
    but a first one that is longer than all of it."""
    if cell_len(text) <= width:
        return text
    text = RUN_NAME.sub(r"\1", text)
    words = text.split(" ")
    for count in range(len(words), 0, -1):
        line = " ".join(words[:count]) + ("" if count == len(words) else " …")
        if cell_len(line) <= width:
            return line
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…"


def _not_reported(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith("train/")}
