"""What happens while charpipe works, as values. The stages and the trainer emit them; views, files and
trackers listen. No listener ever decides what happens next."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """The base of all events."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object whose `event` is the class's name in snake case; numbers on a device are fetched."""
        values: dict[str, Any] = {"event": re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value is not None:
                values[item.name] = value.item() if hasattr(value, "item") else value
        return values


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class StageStarted(Event):
    """A stage begins; `why` says what made it necessary ("first time", "min_count 1 -> 2")."""

    stage: str
    why: str = ""


@dataclass(frozen=True)
class StageProgress(Event):
    """So much of a stage is done, in `unit`s ("bytes", "files")."""

    stage: str
    done: int
    total: int | None = None
    unit: str = "bytes"


@dataclass(frozen=True)
class StageFinished(Event):
    """A stage is done, or was found done (`skipped`). `summary` is for people, `facts` for programs."""

    stage: str
    summary: str
    seconds: float
    skipped: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StagesPlanned(Event):
    """These stages are still to come, in this order."""

    stages: tuple[str, ...]


@dataclass(frozen=True)
class StageFailed(Event):
    """A stage failed for this reason, and the pipeline goes on without it."""

    stage: str
    reason: str


@dataclass(frozen=True)
class Notice(Event):
    """Something a person should know, in one sentence."""

    message: str
    level: str = "info"


@dataclass(frozen=True)
class TrainingStarted(Event):
    """Training of `run` begins at `step` of `steps` (`steps` is None until a time budget has been measured;
    `parameters` is None where they are counted in training; `engine_reason`, why this engine, where it goes on with the
    engine that the run began with)."""

    run: str
    step: int
    steps: int | None
    device: str
    precision: str
    parameters: int | None
    model: str
    engine: str = "plain"
    engine_reason: str | None = None


@dataclass(frozen=True)
class Step(Event):
    """One update was made. `loss` is nats per token before it, a float or a tensor that may still be on its
    device: fetch it with `float()` only as often as you can afford to wait. `tokens` were learnt from in it."""

    step: int
    steps: int | None
    loss: Any
    learning_rate: float
    tokens: int
    seconds: float
    """Seconds since training began in this process."""
    budget_left: float | None = None
    """Seconds of the budget that are left, where there is one."""


@dataclass(frozen=True)
class PlanRevised(Event):
    """After `step` updates the number of `steps` was revised; `position` is the progress of the schedule
    then, in updates of so many, and `evaluations` the number in the whole of it."""

    step: int
    steps: int
    position: float
    evaluations: int


@dataclass(frozen=True)
class Evaluated(Event):
    """The model was scored after `step` updates: `metrics` by their full names (`val/loss`, `perf/...`)."""

    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Sampled(Event):
    """The model wrote `text` after `step` updates."""

    step: int
    text: str
    prompt: str = ""


@dataclass(frozen=True)
class CheckpointStarted(Event):
    """What belongs into the checkpoint of `step` was copied; it is written while training goes on."""

    step: int


@dataclass(frozen=True)
class Checkpointed(Event):
    """A checkpoint is on disk, whole, at `path`."""

    step: int
    path: str
    best: bool = False


@dataclass(frozen=True)
class Finished(Event):
    """Training ended after `step` updates; `reason` is "steps", "budget", "patience" or "interrupted"."""

    step: int
    reason: str
    seconds: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: int | None = None
    """How many there are, where that was not known at the start."""


@dataclass(frozen=True)
class Decided(Event):
    """It was decided whether `run` becomes the champion of `corpus`. `version` is the champion's number after it,
    `champion` the run that was champion before; `metrics` holds both models' bits per character by split."""

    corpus: str
    run: str
    promoted: bool
    reason: str
    version: int | None = None
    champion: str | None = None
    probability: float | None = None
    confidence: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
