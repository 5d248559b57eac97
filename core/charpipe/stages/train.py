"""Training as a stage: the same command again reuses a finished run and goes on with an interrupted one."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from charpipe.config.problems import validate
from charpipe.errors import CharpipeError, InterruptedRun
from charpipe.events import Evaluated, Event, Finished, StageFinished, StageStarted
from charpipe.plugin import ArchitectureConfig
from charpipe.registry import Provided
from charpipe.runs import Recorder, Run, RunInfo, list_runs
from charpipe.runs.find import new_name
from charpipe.runs.folder import PluginUsed
from charpipe.stages.session import Made, Session, WouldRun
from charpipe.store import Action
from charpipe.store.actions import flatten
from charpipe.store.locks import exclusive
from charpipe.store.manifest import read_manifest

VERSION = 1
INCIDENTAL = {"keep_checkpoints"}
"""Settings of training that do not change the model."""


@dataclass(frozen=True)
class TrainRequest:
    """What is to be trained: the corpus as the user named it, the architecture, and the whole request to repeat."""

    corpus: str
    arch: str
    pipeline: str = "train-and-sample"
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TrainedRun:
    """A run that finished: its name, its folder relative to the workspace, and how it stands."""

    run: str
    path: str
    metrics: Mapping[str, float]
    steps: int
    reused: bool
    why: str


def train(session: Session, request: TrainRequest, tokens: Made, vocabulary: Made) -> TrainedRun:
    """Train `request.arch` on tokens, or find the run that did.

    Raises InterruptedRun after saving where a stop was wished for, TrainingError where it cannot go on.
    """
    name, _ = session.corpus(request.corpus)
    provided = session.registry.find("architecture", request.arch)
    given = session.config.architectures.get(request.arch, {})
    config = validate(provided.spec.config, given, f"architectures.{request.arch}", session.resolved.origins)
    action = _action(session, request, provided, config, tokens, vocabulary)
    lock = session.workspace.store / "locks" / f"{action.digest}.lock"
    with exclusive(lock, lambda holder: session.notice(f"train: waiting for {holder}")):
        run, why = _find(session, action)
        if run is not None and run.status.state == "finished":
            return _reuse(session, run)
        if session.dry_run:
            raise WouldRun(
                f"train: would {'go on with ' + run.name if run else 'run'} ({why}), and all after it"
            )
        if run is None:
            run = _create(session, request, name, action, provided, config, tokens, vocabulary)
        session.emit(StageStarted("train", why))
        _train(session, run, provided, config, tokens, vocabulary)
        return _finish(session, run, why)


def _action(
    session: Session,
    request: TrainRequest,
    provided: Provided,
    config: ArchitectureConfig,
    tokens: Made,
    vocabulary: Made,
) -> Action:
    settings = session.config.train.model_dump(mode="json", exclude=INCIDENTAL)
    if settings["steps"] is not None:
        del settings["budget"]
    return Action(
        "train",
        VERSION,
        {"tokens": tokens.digest, "vocabulary": vocabulary.digest},
        {"arch": request.arch, request.arch: config.model_dump(mode="json"), "train": settings},
        {request.arch: provided.provider.digest()},
    )


def _find(session: Session, action: Action) -> tuple[Run | None, str]:
    """The run to reuse or to go on with, if there is one, and why training is needed where it is not finished."""
    if "train" in session.force:
        return None, "forced"
    if session.resume is not None:
        _check_same(session.resume, action)
    same = [run for run in list_runs(session.workspace.runs) if run.info.action == action.digest]
    finished = [run for run in same if run.status.state == "finished"]
    if finished:
        return finished[-1], "finished"
    if same:
        return same[-1], f"goes on from step {same[-1].status.step:,}"
    return None, "first time with these settings"


def _check_same(run: Run, action: Action) -> None:
    if run.info.action != action.digest:
        changed = [key for key, digest in action.inputs.items() if run.info.inputs.get(key) != digest]
        what = " and ".join(changed) or "the settings or the architecture's code"
        raise CharpipeError(
            f"{run.name} cannot go on: {what} changed since it was started; what it learnt is kept, "
            f"and `charpipe sample {run.name}` still works"
        )


def _create(
    session: Session,
    request: TrainRequest,
    corpus: str,
    action: Action,
    provided: Provided,
    config: ArchitectureConfig,
    tokens: Made,
    vocabulary: Made,
) -> Run:
    name = new_name(corpus, request.arch)
    tokenizer = str(vocabulary.facts["tokenizer"])
    plugins = {
        request.arch: provided.provider,
        tokenizer: session.registry.find("tokenizer", tokenizer).provider,
    }
    info = RunInfo(
        schema="charpipe.run/1",
        name=name,
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        action=action.digest,
        corpus=corpus,
        architecture=request.arch,
        architecture_config=config.model_dump(mode="json"),
        vocabulary_size=vocabulary.facts["size"],
        inputs={
            "documents": tokens.inputs["documents"],
            "vocabulary": vocabulary.digest,
            "tokens": tokens.digest,
        },
        paths={"vocabulary": vocabulary.path, "tokens": tokens.path},
        plugins={
            key: PluginUsed(module=one.module, version=one.version, digest=one.digest())
            for key, one in plugins.items()
        },
        request={"pipeline": request.pipeline, "options": dict(request.options or {})},
        settings=_settings(session),
        origins=dict(session.resolved.origins),
        versions={
            "charpipe": version("charpipe"),
            "torch": version("torch"),
            "python": platform.python_version(),
        },
        facts={"tokens": dict(tokens.facts)},
    )
    run = Run.create(session.workspace.runs / name, info)
    source = session.path(vocabulary) / "vocabulary.json"
    run.vocabulary_file.write_bytes(source.read_bytes())
    return run


def _settings(session: Session) -> dict[str, Any]:
    tables = {"corpus", "train", "sample", "architectures", "tracking", "prefect"}
    config = session.config.model_dump(mode="json", include=tables)
    return {key: value for key, value in flatten(config) if value is not None}


def _reuse(session: Session, run: Run) -> TrainedRun:
    status = run.status
    session.emit(StageFinished("train", _summary(run), 0.0, skipped=True, facts={"run": run.name}))
    return TrainedRun(
        run.name, session.workspace.relative(run.folder), status.metrics, status.step, True, "finished"
    )


def _finish(session: Session, run: Run, why: str) -> TrainedRun:
    status = run.status
    session.emit(StageFinished("train", _summary(run), status.seconds, facts={"run": run.name}))
    return TrainedRun(
        run.name, session.workspace.relative(run.folder), status.metrics, status.step, False, why
    )


def _summary(run: Run) -> str:
    status = run.status
    best = status.best or {}
    loss = best.get("metrics", {}).get("val/loss")
    return f"{status.step:,} steps" + (f"  best val {loss:.3f} nats" if loss is not None else "")


def _train(
    session: Session, run: Run, provided: Provided, config: ArchitectureConfig, tokens: Made, vocabulary: Made
) -> None:
    from charpipe.tracking import locate
    from charpipe.tracking.tracker import MlflowTracker

    tracking = session.config.tracking
    recorder = Recorder(run)
    with run.lock():
        tracker = None
        if tracking.enabled:
            location = locate(tracking, session.workspace.mlflow)
            if location.notice:
                session.notice(location.notice)
            tracker = MlflowTracker(location, tracking, run, session.emit)
            tracker.start()
        state = "failed"
        try:
            for event in _events(session, run, recorder, provided, config, tokens, vocabulary):
                recorder(event)
                if tracker is not None:
                    tracker(event)
                session.registry.notify(event)
                session.emit(event)
                if isinstance(event, Finished):
                    state = "interrupted" if event.reason == "interrupted" else "finished"
        except BaseException as error:
            run.update(state="failed", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            if tracker is not None:
                tracker.finish(state)
    if state == "interrupted":
        raise InterruptedRun(
            f"stopped at step {run.status.step:,}; everything up to there is saved. "
            f"To go on, type: charpipe resume {run.name}",
            session.stop.signal,
        )


def _events(
    session: Session,
    run: Run,
    recorder: Recorder,
    provided: Provided,
    config: ArchitectureConfig,
    tokens: Made,
    vocabulary: Made,
) -> Iterator[Event]:
    """The trainer's events, from the run's last whole checkpoint where it has one."""
    from charpipe.models import build_model
    from charpipe.text import load_vocabulary, open_tokens
    from charpipe.training import last_checkpoint, train

    encoding = load_vocabulary(run.vocabulary_file, session.registry.all("tokenizer"))
    model = build_model(
        provided.spec,
        config,
        json.loads(run.vocabulary_file.read_text(encoding="utf-8")),
        encoding.size,
        seed=session.config.train.seed,
        plugin={"name": provided.provider.module, **run.info.plugins[run.info.architecture].model_dump()},
    )
    resume = last_checkpoint(run.checkpoints, session.emit)
    recorder.rewind(_step(resume))
    folder = session.path(tokens)
    events = train(
        model,
        open_tokens(folder, "train"),
        session.config.train,
        checkpoints=run.checkpoints,
        validation=open_tokens(folder, "val"),
        encoding=encoding,
        resume=resume,
        run=run.name,
        stop=session.stop.event.is_set,
        sampling=session.config.sample,
    )
    ratio = _tokens_per_character(tokens.facts, "val")
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
