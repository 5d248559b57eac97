"""`retrain`: train a champion's successor on what is new in its corpus, and promote it if it is better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from charpipe.plugin import Announcement, PipelineResult
from charpipe.stages import (
    Context,
    TrainRequest,
    Unchanged,
    check_here,
    encode,
    evaluate,
    ingest,
    learn_vocabulary,
    promote,
    refresh,
    report,
    sample,
    skip,
    train,
)
from charpipe_pipelines.options import RetrainOptions
from charpipe_pipelines.training_result import TrainingResult
from charpipe_pipelines.training_result import show as show_training


@dataclass(frozen=True)
class RetrainResult(TrainingResult):
    """A training run, and the promotion decision about it."""

    promoted: bool
    reason: str
    champion: str | None
    version: int | None
    started_from: str | None
    resumed: bool

    def announcement(self) -> Announcement:
        """`model.promoted` or `model.kept`."""
        keys = ("run", "corpus", "champion", "version", "reason", "promoted")
        facts = {key: getattr(self, key) for key in keys} | {"metrics": dict(self.metrics)}
        return Announcement(f"model.{'promoted' if self.promoted else 'kept'}", self.corpus, facts)


@dataclass(frozen=True)
class SkippedResult(PipelineResult):
    """Nothing was trained, because nothing is new."""

    unchanged: Unchanged

    def to_json(self) -> dict[str, Any]:
        known = self.unchanged
        return {
            "run": None,
            "corpus": known.corpus,
            "skipped": True,
            "reason": known.reason,
            "champion": known.champion,
            "metrics": {},
        }

    def skipped(self) -> str:
        return self.unchanged.reason


def recipe(context: Context, options: RetrainOptions) -> RetrainResult | SkippedResult:
    """From a source that may have changed to a champion that may have changed."""
    corpus = options.corpus
    retraining = refresh(context, corpus, options.arch, options.start)
    context = retraining.resuming(context)
    documents = ingest(context, corpus)
    if retraining.is_decided(documents):
        return SkippedResult(skip(context, retraining, documents))
    vocabulary = learn_vocabulary(context, corpus, documents, retraining.warm_start)
    tokens = encode(context, corpus, documents, vocabulary)
    request = TrainRequest(
        corpus, options.arch, "retrain", options.model_dump(mode="json"), retraining.warm_start
    )
    trained = train(context, request, tokens, vocabulary)
    scores = evaluate(context, trained, tokens)
    written = sample(context, trained)
    decided = promote(context, trained, tokens)
    verdict = report(context, retraining, documents, trained, decided)
    return RetrainResult(
        trained.run,
        retraining.corpus,
        scores.metrics,
        scores.warning,
        (),
        written.text,
        verdict.promoted,
        verdict.reason,
        verdict.champion,
        verdict.version,
        verdict.started_from,
        verdict.resumed,
    )


def check(context: Context, options: RetrainOptions) -> None:
    """Raise if a request is invalid, before anything starts."""
    check_here(context, options.corpus, options.arch)


def title(options: RetrainOptions) -> str:
    """`linux_src lstm`."""
    return f"{options.corpus} {options.arch}"


def show(result: RetrainResult | SkippedResult, *, dry_run: bool = False) -> Iterator[str]:
    """The closing lines of a retraining; the reason for a skip is reported when it happens."""
    if isinstance(result, RetrainResult):
        yield from show_training(result, dry_run=dry_run)


def __getattr__(name: str) -> Any:
    """The pipeline's Prefect flow, by the name that deployments of earlier releases know."""
    if name == "retrain":
        from charpipe_pipelines.flows import flow_named

        return flow_named("retrain")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
