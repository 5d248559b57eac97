"""Runs the trainer and tells everyone who listens: the run's folder, MLflow, plugins, the view."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charpipe.events import Evaluated, Event, Finished, TrainingStarted
from charpipe.runs import Recorder, Run
from charpipe.stages.plan import Plan
from charpipe.stages.session import Session
from charpipe.store.manifest import read_manifest

if TYPE_CHECKING:
    from charpipe.tracking.tracker import MlflowTracker


def follow(plan: Plan, run: Run) -> str:
    """Train `run` to its end or to a wished stop; returns "finished" or "interrupted".

    Raises what training raises, after the run's status says so.
    """
    session, state = plan.session, "failed"
    recorder = Recorder(run)
    with ExitStack() as stack:
        stack.enter_context(run.lock())
        tracker = _tracker(session, run)
        if tracker is not None:
            stack.callback(lambda: _end_tracking(tracker, session, run, state))
        try:
            for event in _events(plan, run, recorder):
                recorder(event)
                if tracker is not None:
                    _track(tracker, event)
                session.registry.notify(event)
                session.emit(event)
                if isinstance(event, Finished):
                    state = "interrupted" if event.reason == "interrupted" else "finished"
        except BaseException as error:
            run.update(state="failed", error=f"{type(error).__name__}: {error}")
            raise
    return state


def _tracker(session: Session, run: Run) -> MlflowTracker | None:
    tracking = session.config.tracking
    if not tracking.enabled:
        return None
    from charpipe.tracking import locate
    from charpipe.tracking.tracker import MlflowTracker

    location = locate(tracking, session.workspace.mlflow)
    if location.notice:
        session.notice(location.notice)
    return MlflowTracker(location, tracking, run, session.emit)


def _track(tracker: MlflowTracker, event: Event) -> None:
    """Start with training, not before: importing MLflow would disturb the measuring of a budget."""
    if isinstance(event, TrainingStarted):
        tracker.start()
    tracker(event)


def _end_tracking(tracker: MlflowTracker, session: Session, run: Run, state: str) -> None:
    if not tracker.finish(state):
        session.untracked.add(run.name)


def _events(plan: Plan, run: Run, recorder: Recorder) -> Iterator[Event]:
    """The trainer's events, from the run's last whole checkpoint where it has one."""
    from charpipe.models import build_model
    from charpipe.text import load_vocabulary, open_tokens
    from charpipe.training import last_checkpoint, train

    session = plan.session
    encoding = load_vocabulary(run.vocabulary_file, session.registry.all("tokenizer"))
    vocabulary = json.loads(run.vocabulary_file.read_text(encoding="utf-8"))
    plugin = {"name": plan.request.arch, **run.info.plugins[plan.request.arch].model_dump()}
    seed = session.config.train.seed
    model = build_model(plan.provided.spec, plan.config, vocabulary, encoding.size, seed=seed, plugin=plugin)
    resume = last_checkpoint(run.checkpoints, session.emit)
    recorder.rewind(_step(resume))
    folder = session.path(plan.tokens)
    events = train(
        model,
        open_tokens(folder, "train").tokens,
        session.config.train,
        checkpoints=run.checkpoints,
        validation=open_tokens(folder, "val").tokens,
        encoding=encoding,
        resume=resume,
        run=run.name,
        stop=session.stop.event.is_set,
        sampling=session.config.sample,
        decoders=session.registry.all("decoder"),
    )
    ratio = _tokens_per_character(plan.tokens.facts, "val")
    for event in events:
        yield _with_bits(event, ratio) if isinstance(event, Evaluated) else event


def _step(checkpoint: Path | None) -> int:
    return int(read_manifest(checkpoint).facts["step"]) if checkpoint is not None else 0


def _tokens_per_character(facts: Mapping[str, Any], split: str) -> float:
    characters = facts["characters"][split]
    return facts["tokens"][split] / characters if characters else 1.0


def _with_bits(event: Evaluated, tokens_per_character: float) -> Evaluated:
    """The same scores, with bits per character beside the loss."""
    if "val/loss" not in event.metrics:
        return event
    bits = event.metrics["val/loss"] / math.log(2) * tokens_per_character
    return Evaluated(event.step, {**event.metrics, "val/bits_per_char": bits})
