"""The stage `evaluate`: a trained run's scores on the validation and test text, and its model's predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from charpipe.evaluation import predictions, score
from charpipe.events import Evaluated
from charpipe.models import Model, Predictor
from charpipe.models.bundle import tensors
from charpipe.models.loaded import Loaded
from charpipe.plugin import Facts
from charpipe.runs import Run
from charpipe.runs.models import load_run
from charpipe.runs.uniform_baseline import warn_about
from charpipe.stages.computation import once
from charpipe.stages.context import Context
from charpipe.stages.novelty import novelty_of
from charpipe.stages.objects import StageOutput, progress_of
from charpipe.stages.run_results import RunResult, checkpoint_digest, record
from charpipe.stages.stage import stage
from charpipe.stages.train import TrainedRun
from charpipe.store import digest_of_json
from charpipe.text import open_tokens
from charpipe.training.metrics import Metrics, Weights

VERSION = 4
"""The version of the stage."""
SHOWN_IN_FULL = 64
"""A training text of up to this many characters is shown with the predictions after each of them."""
MAX_TOKENS_PER_CHARACTER = 8
"""Tokens that a character takes at most, for all that is read of a text to be shown."""


@dataclass(frozen=True)
class EvaluationResult:
    """The `metrics` of the validation and test text; for a tiny text the `predictions` after each of its characters.

    `surprise` (see `Surprise.as_json`) is set if there is held-out text, `novelty` if the corpus is a list of short
    lines, `warning` if the model is worse than guessing.
    """

    metrics: Mapping[str, float]
    predictions: tuple[Mapping[str, Any], ...] = ()
    surprise: Mapping[str, Any] | None = None
    novelty: Mapping[str, Any] | None = None
    warning: str | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EvaluationResult:
        """The scores as a run stores them."""
        predictions = tuple(value.get("predictions", ()))
        return cls(value["metrics"], predictions, value.get("surprise"), value.get("novelty"))

    def to_json(self) -> dict[str, Any]:
        """What is stored in the run's folder."""
        optional = {"surprise": self.surprise, "novelty": self.novelty}
        found = {key: dict(value) for key, value in optional.items() if value is not None}
        return {"metrics": dict(self.metrics), "predictions": list(self.predictions), **found}


@stage("evaluate", "Score the best checkpoint on the validation and test text.", forcible=True)
def evaluate(context: Context, trained: TrainedRun, tokens: StageOutput) -> EvaluationResult:
    """Score the run's best checkpoint on validation and test.

    Where it is worse than guessing, every call emits a warning.
    """
    run = Run(context.workspace.root / trained.path)
    inputs: dict[str, Any] = {
        "version": VERSION,
        "checkpoint": checkpoint_digest(run),
        "tokens": tokens.digest,
    }
    if plugins := _metric_plugins(context):
        inputs["metrics"] = plugins

    def work() -> EvaluationResult:
        found = _score(context, run, tokens)
        record(context, run, Evaluated(run.status.step, found.metrics))
        run.update(metrics={**run.status.metrics, **found.metrics})
        return found

    result = RunResult(
        "evaluate",
        run,
        digest_of_json(inputs),
        work,
        EvaluationResult.from_json,
        EvaluationResult.to_json,
        _summary,
    )
    found = once(context, result)
    warning = warn_about(run.info, run.status, found.metrics)
    if warning is not None:
        context.notice(warning, "warning")
    return replace(found, warning=warning)


def _score(context: Context, run: Run, tokens: StageOutput) -> EvaluationResult:
    from charpipe.stages.baselines import baseline_metrics

    loaded = load_run(run, context.registry)
    predictor = loaded.predictor(context.config.train.device)
    metrics: dict[str, float] = {}
    for split in ("val", "test"):
        held = open_tokens(context.path(tokens), split)
        if len(held.tokens) > 1:
            progress = progress_of(context, "evaluate", "tokens")
            scores = score(
                predictor, held.tokens, characters=held.characters, utf8_bytes=held.bytes, progress=progress
            )
            metrics |= scores.metrics(split)
    training = open_tokens(context.path(tokens), "train")
    shown: list[dict[str, Any]] = []
    if training.characters <= SHOWN_IN_FULL:
        text = loaded.encoding.decoder().decode(training.tokens.tolist(), final=True)
        rows = predictions(predictor, loaded.encoding, text)
        shown = [{"text": row.prefix, "next": dict(row.likeliest)} for row in rows[:-1]]
    surprise = _surprise(context, loaded, predictor, tokens)
    invented = novelty_of(context, loaded, predictor, tokens)
    if invented is not None:
        metrics |= invented.metrics()
    metrics |= baseline_metrics(context, run.info.corpus, tokens, loaded.encoding)
    metrics = _with_metrics(context, run, loaded, metrics)
    return EvaluationResult(metrics, tuple(shown), surprise, None if invented is None else asdict(invented))


def _metric_plugins(context: Context) -> dict[str, str]:
    """The plugins whose metrics an evaluation computes, with the digests of their code; without charpipe's own."""
    provided = [one for one in context.registry.provided("metric") if one.spec.when == "evaluation"]
    return {one.spec.name: one.provider.digest() for one in provided if not one.provider.own}


def _with_metrics(
    context: Context, run: Run, loaded: Loaded, metrics: Mapping[str, float]
) -> dict[str, float]:
    """The scores of the validation and test text, with the metrics that plugins compute from them."""
    model, status = loaded.model, run.status
    weights = Weights(lambda: tensors(model.network) if isinstance(model, Model) else model.fitted.tensors())
    facts = Facts(
        step=status.step,
        seconds=status.seconds,
        loss=status.metrics.get("train/loss"),
        metrics=metrics,
        weights=weights,
    )
    computed = Metrics(context.registry.all("metric"))
    found = computed.compute("evaluation", facts)
    for warning in computed.warnings():
        context.emit(warning)
    return found


def _surprise(
    context: Context, loaded: Loaded, predictor: Predictor, tokens: StageOutput
) -> Mapping[str, Any] | None:
    """The surprise at the start of the validation text, or else of the test text; None if there is neither."""
    from charpipe.inspection.surprise import SHOWN, surprise

    for split in ("val", "test"):
        start = open_tokens(context.path(tokens), split).tokens[: MAX_TOKENS_PER_CHARACTER * SHOWN]
        found = surprise(predictor, loaded.encoding, split, start.tolist())
        if found is not None:
            return found.as_json()
    return None


def _summary(scores: EvaluationResult) -> str:
    metrics = scores.metrics
    losses = [
        f"{split} {metrics[f'{split}/loss']:.4f}" for split in ("val", "test") if f"{split}/loss" in metrics
    ]
    return "  ".join(losses) + (" nats" if losses else "nothing held out to score")
