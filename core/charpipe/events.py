"""The events of stages and of the trainer, as values. Views, files and trackers listen to them.
Listeners never influence what happens next."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """The base class of all events."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object whose `event` is the class's name in snake case; values on a device are copied to the host."""
        values: dict[str, Any] = {"event": re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value is not None:
                values[item.name] = value.item() if hasattr(value, "item") else value
        return values


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class OfTrial(Event):
    """An event of `trial`, one of several trainings that run at once."""

    trial: str
    event: Event

    def to_json(self) -> dict[str, Any]:
        return {**self.event.to_json(), "trial": self.trial}


def event_from_json(value: Mapping[str, Any]) -> Event | None:
    """The event whose `to_json` this is; None for a kind of event that this process does not know.

    Raises TypeError or AttributeError if the object is not of that form.
    """
    name = "".join(part.capitalize() for part in str(value.get("event")).split("_"))
    kind = next((one for one in Event.__subclasses__() if one.__name__ == name and one is not OfTrial), None)
    if kind is None:
        return None
    known = {key: inner for key, inner in value.items() if key not in ("event", "trial")}
    found = {field.name: None for field in dataclasses.fields(kind) if _is_needed(field)} | known
    if kind in TUPLES and TUPLES[kind] in found:
        found[TUPLES[kind]] = tuple(found[TUPLES[kind]])
    event = kind(**found)
    return OfTrial(str(value["trial"]), event) if "trial" in value else event


def _is_needed(item: dataclasses.Field[Any]) -> bool:
    """Whether a field has no default: it was None, which `to_json` leaves out."""
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


@dataclass(frozen=True)
class StageStarted(Event):
    """A stage starts; `why` says why it must run ("first time", "min_count 1 -> 2")."""

    stage: str
    why: str = ""


@dataclass(frozen=True)
class StageProgress(Event):
    """Progress of a stage, in `unit`s ("bytes", "files")."""

    stage: str
    done: int
    total: int | None = None
    unit: str = "bytes"


@dataclass(frozen=True)
class StageFinished(Event):
    """A stage has ended, or was already done (`skipped`). `summary` is for people, `facts` for programs."""

    stage: str
    summary: str
    seconds: float
    skipped: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StagesPlanned(Event):
    """The remaining stages, in order."""

    stages: tuple[str, ...]


@dataclass(frozen=True)
class StageFailed(Event):
    """A stage failed for this reason, and the pipeline continues without it."""

    stage: str
    reason: str


@dataclass(frozen=True)
class Notice(Event):
    """A notice for the user, in one sentence."""

    message: str
    level: str = "info"


@dataclass(frozen=True)
class TrainingStarted(Event):
    """Training of `run` starts at `step` of `steps` (`steps` is None until a time budget has been measured;
    `parameters` is None if they are counted in training; `engine_reason` says why this engine was chosen; it is
    None for a resumed run that keeps its engine)."""

    run: str
    step: int
    steps: int | None
    device: str
    precision: str
    parameters: int | None
    model: str
    engine: str = "plain"
    engine_reason: str | None = None
    host: str | None = None
    """The machine that trains, where that is not the process that hears this."""


@dataclass(frozen=True)
class Step(Event):
    """One update was made. `loss` is nats per token before the update, a float or a tensor that may still be on its
    device: `float()` waits for the device, so call it rarely. `tokens` is the number of tokens in the update."""

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
class Reported(Event):
    """Metrics of the latest updates, by full name (`train/loss`): means over the updates since the last report, and
    the metrics of plugins. A report follows every tenth update."""

    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class PlanRevised(Event):
    """After `step` updates the number of `steps` was revised; `position` is the progress of the schedule
    at that step, in updates out of `steps`, and `evaluations` the number in the whole schedule."""

    step: int
    steps: int
    position: float
    evaluations: int


@dataclass(frozen=True)
class Evaluated(Event):
    """The model was evaluated after `step` updates: `metrics` by full name (`val/loss`, `perf/...`)."""

    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Sampled(Event):
    """The model was sampled after `step` updates: `text` is the sample, after `prompt`. `surprise` has the bits of each
    character of `text` where they are known, else it is empty."""

    step: int
    text: str
    prompt: str = ""
    surprise: tuple[float, ...] = ()


@dataclass(frozen=True)
class CheckpointStarted(Event):
    """The content of the checkpoint of `step` was copied; it is written while training continues."""

    step: int


@dataclass(frozen=True)
class Checkpointed(Event):
    """A checkpoint is complete on disk, at `path`."""

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
    """The decision whether `run` becomes the champion of `corpus`. `version` is the champion's number after it,
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


TUPLES: Mapping[type[Event], str] = {StagesPlanned: "stages", Sampled: "surprise"}
"""The fields that are tuples, which JSON has as lists."""
