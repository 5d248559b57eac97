"""Replay: a training that repeats the steps of another; its recorded plan, and whether it can be replayed here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

from charpipe.config.settings.training import TrainConfig
from charpipe.errors import RunError, UsageError
from charpipe.runs import Run, RunInfo
from charpipe.training.checkpoints import plan_of

if TYPE_CHECKING:
    from charpipe.stages.context import Context
    from charpipe.stages.warm_start import WarmStart

LENGTHS = ("steps", "budget")
"""What says how long to train, where no plan does."""
WITHOUT_EFFECT = {
    *LENGTHS, "max_epochs", "device", "precision", "engine", "sample_every", "checkpoint_every", "evaluate_every",
    "keep_checkpoints",
}  # fmt: skip
"""Settings of training that change no weight where the plan is given, or are taken from the run that is replayed."""


@dataclass(frozen=True)
class Replay:
    """The run to replay, its recorded plan, and the engine and precision it was trained with."""

    run: str
    plan: list[list[float]]
    engine: str
    precision: str

    def to_json(self) -> dict[str, Any]:
        """As stored with a run."""
        return asdict(self)

    @property
    def steps(self) -> int:
        """The total number of updates."""
        return int(self.plan[-1][1])

    def settings(self, chosen: TrainConfig) -> TrainConfig:
        """The settings with the replayed run's engine and precision, where these were left to charpipe."""
        found = {"engine": self.engine, "precision": self.precision}
        return chosen.model_copy(
            update={key: value for key, value in found.items() if value and getattr(chosen, key) == "auto"}
        )


def check_replay(context: Context, corpus: str, arch: str, wanted: str) -> None:
    """Raise if the run `wanted` cannot be replayed, before anything starts: UsageError for a run of another
    corpus or architecture, or if a length is given as well; RunError if it has no plan to replay."""
    if context.resume is not None:
        _resumed(context, context.resume)
        return
    origins = context.resolved.origins
    if any(origins.get(f"train.{name}") in ("flag", "--set") for name in LENGTHS):
        raise UsageError(
            "a replay is as long as the run that it replays; leave --steps and --budget out (train.steps, train.budget)"
        )
    name, _ = context.corpus(corpus)
    run = context.runs.find(wanted, use="model", checkpoint="last")
    info = run.info
    if info.corpus != name:
        raise UsageError(
            f"{run.name} was trained on {info.corpus}, not on {name}: its plan is for that corpus; "
            f"type: charpipe run train-and-sample --corpus {quote(info.corpus)} --replay {run.name}"
        )
    if info.architecture != arch:
        raise UsageError(
            f"{run.name} is of the architecture {info.architecture}, not {arch}; type --arch {info.architecture}"
        )
    _recorded(run)


def find_replay(
    context: Context, wanted: str | None, tokens: str, warm_start: WarmStart | None
) -> Replay | None:
    """The recorded plan of the run `wanted`; a resumed run keeps the plan that it replayed.

    Raises UsageError if the content of the corpus has changed, RunError if there is no plan.
    """
    if context.resume is not None:
        return _resumed(context, context.resume)
    if wanted is None:
        return None
    run = context.runs.find(wanted, use="model", checkpoint="last")
    if run.info.inputs.get("tokens") != tokens:
        raise UsageError(
            f"the text that {run.name} was trained on is not that of {run.info.corpus} today, so its plan would not "
            "give its weights; name the old text as the corpus, or train without --replay"
        )
    found = _recorded(run)
    context.notice(f"replays the plan of {run.name}: {found.steps:,} steps")
    if changed := ", ".join(_changes(context, run.info, warm_start)):
        context.notice(f"not all is as in {run.name}, so the weights will be others: {changed}", "warning")
    return found


def _resumed(context: Context, run: Run) -> Replay | None:
    recorded = run.info.facts.get("replay")
    if not isinstance(recorded, dict):
        return None
    train = context.config.train.model_dump(mode="json")
    if any(train[name] != run.info.settings.get(f"train.{name}", train[name]) for name in LENGTHS):
        raise UsageError(
            f"{run.name} replays the plan of {recorded.get('run')}, which says how long it trains; "
            "leave --steps and --budget out"
        )
    return Replay(**recorded)


def _recorded(run: Run) -> Replay:
    """The plan of a finished run, from its last checkpoint. Raises RunError if there is none to replay."""
    status = run.status
    if not run.info.is_trained_by_steps:
        raise RunError(
            f"{run.name} is a count-based model without a plan of steps; leave --replay out: "
            "every training gives the same model"
        )
    if status.state != "finished":
        raise RunError(
            f"{run.name} is {status.state}, and its plan is complete when it has finished; "
            f"type: charpipe resume {run.name}"
        )
    folder = run.checkpoint("last")
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        plan = plan_of(state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{run.name} has no recorded plan that can be replayed ({folder.name}/state.json cannot be read); "
            "name another run"
        ) from error
    return Replay(run.name, plan.to_json(), status.engine or "", status.precision or "")


def _changes(context: Context, before: RunInfo, warm_start: WarmStart | None) -> Iterator[str]:
    """What else affects the weights and has changed."""
    now = context.config.train.model_dump(mode="json", exclude=WITHOUT_EFFECT)
    yield from _differing("train", now, before.settings)
    yield from _differing("architectures", _flat(context.config.architectures), before.settings)
    started = warm_start.run if warm_start is not None else None
    if started != before.parent:
        yield f"it started from {before.parent or 'nothing'}, here from {started or 'nothing'}"
    if "changes" in before.facts:
        yield "it was resumed with other settings"


def _differing(table: str, now: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    for key, value in now.items():
        name = f"{table}.{key}"
        if name in before and before[name] != value:
            yield f"{name} was {before[name]}, is {value}"


def _flat(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{arch}.{key}": value for arch, table in tables.items() for key, value in table.items()}
