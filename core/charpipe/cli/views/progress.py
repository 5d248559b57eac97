"""How far a pipeline is, as text: the state behind both the live picture and the plain lines."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size

from charpipe.cli.views.training import TrainingProgress
from charpipe.events import (
    Evaluated,
    Event,
    Notice,
    OfTrial,
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
    stages: dict[str, StageLine] = field(default_factory=dict)
    trainings: dict[str, TrainingProgress] = field(default_factory=dict)
    """By the stage in which they are."""
    notices: list[Notice] = field(default_factory=list)
    learning: str = "train"
    """The stage in which there is training, or was last."""
    at_once: bool = False
    """Whether there are several trainings at a time."""
    _at: str = ""

    @property
    def now(self) -> TrainingProgress:
        """The training of the stage `learning`."""
        return self.trainings.setdefault(self.learning, TrainingProgress())

    @property
    def model(self) -> str:
        """The model that is trained; empty if there are several."""
        return "" if self.at_once else self.now.model

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
            case OfTrial(trial=name, event=inner):
                self.at_once, self.learning = True, name
                self._train(inner)
            case TrainingStarted():
                self.learning = self._at or "train"
                self._train(event)
            case Step() | Reported() | Evaluated() | Sampled():
                self._train(event)
            case Notice():
                self.notices.append(event)
            case _:
                pass

    def _train(self, event: Event) -> None:
        if isinstance(event, TrainingStarted):
            self.trainings[self.learning] = TrainingProgress()
        self.now.take(event)

    def _advance(self, event: StageProgress) -> None:
        stage = self.stages.setdefault(event.stage, StageLine(event.stage, "running"))
        unit = "B" if event.unit == "bytes" else ""
        done = size(event.done, unit) + ("" if unit else f" {event.unit}")
        share = f"  {100 * event.done / event.total:.0f} %" if event.total else ""
        stage.text = f"{done}{share}"

    def training(self, bar: str = "", room: int | None = None) -> str:
        """The line of the training in the stage `learning`; see `TrainingProgress.training`."""
        if self.now.step is None:
            return self.stages[self.learning].text or "starting"
        return self.now.training(bar, room)

    def measured(self, room: int | None = None) -> str:
        """The other metrics of that training; see `TrainingProgress.measured`."""
        return self.now.measured(room)

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
