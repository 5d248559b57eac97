"""What comes of a trained run: its scores on whole splits, what it expects next, and the text it writes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from charpipe.events import Evaluated, Event, Sampled, StageFinished, StageProgress, StageStarted
from charpipe.guessing import warn_about
from charpipe.library import Loaded, load_run
from charpipe.runs import Recorder, Run
from charpipe.stages.session import Made, Session, WouldRun
from charpipe.stages.train import TrainedRun
from charpipe.store import digest_of_json
from charpipe.store.manifest import read_manifest

if TYPE_CHECKING:
    from charpipe.models import Predictor

EVALUATE, SAMPLE = 4, 2
"""The versions of the stages."""
SHOWN_IN_FULL = 64
"""A training text of up to this many characters is shown with the predictions after each of them."""
MOST_TOKENS = 8
"""Tokens that a character takes at most, for all that is read of a text to be shown."""


def evaluate(session: Session, trained: TrainedRun, tokens: Made) -> Mapping[str, Any]:
    """Score the run's best checkpoint on validation and test: `{"metrics": {...}, "predictions": [...]}`, and
    `"surprise"` (see `Surprise.as_json`) where there is held-out text.

    Where it is worse than guessing, a warning says so, each time that it is asked for.
    """
    run = Run(session.workspace.root / trained.path)
    plugins = _metric_plugins(session)
    inputs = {"version": EVALUATE, "checkpoint": _checkpoint(run), "tokens": tokens.digest}
    digest = digest_of_json(inputs | ({"metrics": plugins} if plugins else {}))

    def work() -> dict[str, Any]:
        found = _score(session, run, tokens)
        _record(session, run, Evaluated(run.status.step, found["metrics"]))
        run.update(metrics={**run.status.metrics, **found["metrics"]})
        return found

    found = _once(session, run, "evaluate", digest, work, _scores)
    warning = warn_about(run.info, run.status, found["metrics"])
    if warning is not None:
        session.notice(warning, "warning")
    return {**found, "warning": warning}


def sample(session: Session, trained: TrainedRun) -> Mapping[str, Any]:
    """Let the run's best checkpoint write, as the `[sample]` table says: `{"text": ...}`."""
    run = Run(session.workspace.root / trained.path)
    settings = session.config.sample
    digest = digest_of_json(
        {"version": SAMPLE, "checkpoint": _checkpoint(run), "settings": settings.model_dump(mode="json")}
    )

    def work() -> dict[str, Any]:
        from charpipe.generation import sample

        loaded = load_run(run, session.registry)
        predictor = loaded.predictor(session.config.train.device)
        text = sample(predictor, loaded.encoding, settings, session.registry.all("decoder"))
        _record(session, run, Sampled(run.status.step, text.removeprefix(settings.prompt), settings.prompt))
        return {"text": text, "prompt": settings.prompt}

    result = _once(session, run, "sample", digest, work, lambda result: f"{len(result['text']):,} characters")
    if run.name in session.fresh - session.untracked:
        publish(session, run)
    return result


def publish(session: Session, run: Run) -> None:
    """Bring MLflow up to what the run's folder holds now. MLflow's troubles are told, and decide nothing."""
    tracking = session.config.tracking
    if not tracking.enabled:
        return
    from charpipe.tracking import locate
    from charpipe.tracking.sync import catch_up

    catch_up(locate(tracking, session.workspace.mlflow), run, session.emit, tracking.experiment)


def _record(session: Session, run: Run, event: Event) -> None:
    """Keep the outcome with the run, and tell those who listen."""
    Recorder(run)(event)
    session.registry.notify(event)
    session.fresh.add(run.name)


def _score(session: Session, run: Run, tokens: Made) -> dict[str, Any]:
    from charpipe.evaluation import predictions, score
    from charpipe.stages.baselines import baseline_metrics
    from charpipe.stages.novelty import novelty_of
    from charpipe.text import open_tokens

    loaded = load_run(run, session.registry)
    predictor = loaded.predictor(session.config.train.device)
    metrics: dict[str, float] = {}
    for split in ("val", "test"):
        held = open_tokens(session.path(tokens), split)
        if len(held.tokens) > 1:
            tell = _progress(session)
            scores = score(
                predictor, held.tokens, characters=held.characters, utf8_bytes=held.bytes, progress=tell
            )
            metrics |= scores.metrics(split)
    training = open_tokens(session.path(tokens), "train")
    shown: list[dict[str, Any]] = []
    if training.characters <= SHOWN_IN_FULL:
        text = loaded.encoding.decoder().decode(training.tokens.tolist(), final=True)
        rows = predictions(predictor, loaded.encoding, text)
        shown = [{"text": row.prefix, "next": dict(row.likeliest)} for row in rows[:-1]]
    found: dict[str, Any] = {"predictions": shown, **_surprise(session, loaded, predictor, tokens)}
    invented = novelty_of(session, loaded, predictor, tokens)
    if invented is not None:
        metrics |= invented.metrics()
        found["novelty"] = asdict(invented)
    metrics |= baseline_metrics(session, run.info.corpus, tokens, loaded.encoding)
    return {"metrics": _with_metrics(session, run, loaded, metrics), **found}


def _metric_plugins(session: Session) -> dict[str, str]:
    """The plugins whose metrics an evaluation computes, with the digests of their code; charpipe's own left out."""
    provided = [one for one in session.registry.provided("metric") if one.spec.when == "evaluation"]
    return {one.spec.name: one.provider.digest() for one in provided if not one.provider.own}


def _with_metrics(
    session: Session, run: Run, loaded: Loaded, metrics: Mapping[str, float]
) -> dict[str, float]:
    """The scores of whole splits, with the metrics that plugins compute from them."""
    from charpipe.models import Model
    from charpipe.models.bundle import tensors
    from charpipe.plugin import Facts
    from charpipe.training.metrics import Metrics, Weights

    model, status = loaded.model, run.status
    weights = Weights(lambda: tensors(model.network) if isinstance(model, Model) else model.fitted.tensors())
    facts = Facts(
        step=status.step,
        seconds=status.seconds,
        loss=status.metrics.get("train/loss"),
        metrics=metrics,
        weights=weights,
    )
    computed = Metrics(session.registry.all("metric"))
    found = computed.compute("evaluation", facts)
    for warning in computed.warnings():
        session.emit(warning)
    return found


def _surprise(session: Session, loaded: Loaded, predictor: Predictor, tokens: Made) -> dict[str, Any]:
    """`{"surprise": ...}` of the beginning of the validation text, else of the test text; empty where neither is."""
    from charpipe.evaluation.surprise import SHOWN, surprise
    from charpipe.text import open_tokens

    for split in ("val", "test"):
        beginning = open_tokens(session.path(tokens), split).tokens[: MOST_TOKENS * SHOWN]
        found = surprise(predictor, loaded.encoding, split, beginning.tolist())
        if found is not None:
            return {"surprise": found.as_json()}
    return {}


def _once(session: Session, run: Run, stage: str, digest: str, work: Any, summary: Any) -> Mapping[str, Any]:
    """What `stage` found for this checkpoint before, or what `work()` finds now."""
    known = None if stage in session.force else run.result(stage, digest)
    if known is not None:
        session.emit(StageFinished(stage, summary(known), 0.0, skipped=True))
        return known
    if session.dry_run:
        raise WouldRun(f"{stage}: would run, and all after it")
    session.emit(StageStarted(stage))
    started = time.monotonic()
    result: dict[str, Any] = work()
    run.keep_result(stage, digest, result)
    session.emit(StageFinished(stage, summary(result), time.monotonic() - started))
    return result


def _checkpoint(run: Run) -> str:
    return read_manifest(run.checkpoint("best")).digest


def _progress(session: Session) -> Any:
    def tell(done: int, total: int) -> None:
        session.check_stop("evaluate")
        session.emit(StageProgress("evaluate", done, total, "tokens"))

    return tell


def _scores(result: Mapping[str, Any]) -> str:
    metrics = result["metrics"]
    losses = [
        f"{split} {metrics[f'{split}/loss']:.4f}" for split in ("val", "test") if f"{split}/loss" in metrics
    ]
    return "  ".join(losses) + (" nats" if losses else "nothing held out to score")
