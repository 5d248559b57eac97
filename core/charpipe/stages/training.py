"""Runs the trainer, and passes its events to all listeners: the run's folder, MLflow, plugins, the terminal view."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charpipe.errors import LostLeaseError
from charpipe.events import Event, Finished, TrainingStarted
from charpipe.models import build_model
from charpipe.plugin import Encoding
from charpipe.runs import Recorder, Run
from charpipe.stages.context import Context
from charpipe.stages.plan import TrainingJob
from charpipe.stages.resume import record_changes
from charpipe.stages.warm_start import warm_start_checkpoint
from charpipe.store.manifest import read_manifest
from charpipe.text import load_vocabulary, open_tokens
from charpipe.tracking import locate
from charpipe.training import train
from charpipe.training.checkpoints import best_until, last_checkpoint
from charpipe.training.count_based import train_count_based
from charpipe.training.plan import Plan as Steps

if TYPE_CHECKING:
    from charpipe.tracking.tracker import MlflowTracker


LOST = "lost"
"""How training ends if another machine has taken the run over."""


def run_training(plan: TrainingJob, run: Run) -> str:
    """Train `run` to its end or until a stop is requested; returns "finished" or "interrupted".

    Raises what training raises, after recording it in the run's status; LostLeaseError if another machine has taken
    the run over.
    """
    context, state = plan.context, "failed"
    recorder = Recorder(run)
    with ExitStack() as stack:
        stack.enter_context(run.lock())
        uploader = stack.enter_context(context.runs.training(run))
        tracker = _tracker(context, run)
        if tracker is not None:
            stack.callback(lambda: _end_tracking(tracker, context, state))
        try:
            for event in _events(plan, run, recorder):
                if isinstance(event, TrainingStarted) and context.resume is not None:
                    record_changes(run, plan)  # not earlier: rejected settings must leave no trace
                recorder(event)
                if uploader is not None:
                    uploader(event)
                if tracker is not None:
                    _track(tracker, event)
                context.registry.notify(event)
                context.emit(event)
                if isinstance(event, Finished):
                    state = "interrupted" if event.reason == "interrupted" else "finished"
            if uploader is not None:
                uploader.finish()  # before MLflow hears of the end: another machine may have taken the run over
        except LostLeaseError:
            state = LOST
            run.update(state="interrupted")
            raise
        except BaseException as error:
            run.update(state="failed", error=f"{type(error).__name__}: {error}")
            raise
    return state


def _tracker(context: Context, run: Run) -> MlflowTracker | None:
    tracking = context.config.tracking
    if not tracking.enabled or context.publishing.is_lost:
        return None
    from charpipe.tracking.tracker import MlflowTracker

    location = locate(tracking, context.workspace.mlflow)
    if location.notice:
        context.notice(location.notice)
    return MlflowTracker(location, tracking, run, context.emit)


def _track(tracker: MlflowTracker, event: Event) -> None:
    """Start MLflow together with training: importing it earlier would disturb the measurement of a time budget."""
    if isinstance(event, TrainingStarted):
        tracker.start()
    tracker(event)


def _end_tracking(tracker: MlflowTracker, context: Context, state: str) -> None:
    if state == LOST:
        tracker.abandon()  # MLflow's run belongs to the new owner
    elif not tracker.finish(state):
        context.publishing.lose()


def _events(plan: TrainingJob, run: Run, recorder: Recorder) -> Iterator[Event]:
    """The trainer's events, from the run's last complete checkpoint if it has one."""
    resume = last_checkpoint(run.checkpoints, plan.context.emit)
    recorder.rewind(_step(resume), resume, best_until(resume) if resume else None)
    for conflict in plan.context.registry.conflicts("metric").values():
        plan.context.notice(f"{conflict}; it is not computed", "warning")
    yield from _count_based_events(plan, run, resume) if plan.counted else _neural_events(plan, run, resume)


def _neural_events(plan: TrainingJob, run: Run, resume: Path | None) -> Iterator[Event]:
    """Train a neural model."""
    encoding, vocabulary, plugin = _language(plan, run)
    settings, replay = plan.context.config.train, plan.replay
    seed = settings.seed
    model = build_model(plan.provided.spec, plan.config, vocabulary, encoding.size, seed=seed, plugin=plugin)
    return train(
        model,
        open_tokens(plan.context.path(plan.tokens), "train").tokens,
        replay.settings(settings) if replay is not None else settings,
        checkpoints=run.checkpoints,
        encoding=encoding,
        resume=resume,
        warm_start=warm_start_checkpoint(plan.context, plan.request.warm_start) if resume is None else None,
        plan=Steps.from_json(replay.plan) if replay is not None else None,
        group=plan.context.group,
        **_surroundings(plan, run),
    )


def _count_based_events(plan: TrainingJob, run: Run, resume: Path | None) -> Iterator[Event]:
    """Fit a count-based model."""
    encoding, vocabulary, plugin = _language(plan, run)
    return train_count_based(
        plan.provided.spec,
        plan.config,
        open_tokens(plan.context.path(plan.tokens), "train").tokens,
        encoding,
        checkpoints=run.checkpoints,
        vocabulary=vocabulary,
        plugin=plugin,
        resume=resume,
        **_surroundings(plan, run),
    )


def _language(plan: TrainingJob, run: Run) -> tuple[Encoding, dict[str, Any], dict[str, str]]:
    """The run's vocabulary, as an object and as stored, and the plugin of its model."""
    encoding = load_vocabulary(run.vocabulary_file, plan.context.registry.all("tokenizer"))
    vocabulary = json.loads(run.vocabulary_file.read_text(encoding="utf-8"))
    plugin = {"name": plan.request.arch, **run.info.plugins[plan.request.arch].model_dump()}
    return encoding, vocabulary, plugin


def _surroundings(plan: TrainingJob, run: Run) -> dict[str, Any]:
    """Arguments that every kind of training takes about its environment."""
    context = plan.context
    return {
        "validation": open_tokens(context.path(plan.tokens), "val").tokens,
        "run": run.name,
        "stop": context.stop.event.is_set,
        "sampling": context.config.sample,
        "decoders": context.registry.all("decoder"),
        "metrics": context.registry.all("metric"),
        "tokens_per_character": _tokens_per_character(plan.tokens.facts, "val"),
    }


def _step(checkpoint: Path | None) -> int:
    return int(read_manifest(checkpoint).facts["step"]) if checkpoint is not None else 0


def _tokens_per_character(facts: Mapping[str, Any], split: str) -> float:
    characters = facts["characters"][split]
    return facts["tokens"][split] / characters if characters else 1.0
