"""`train-and-sample`, the main pipeline: from raw text to a trained model and a sample of its text."""

from __future__ import annotations

from typing import Any

from charpipe.stages import (
    Context,
    TrainRequest,
    check_here,
    encode,
    evaluate,
    find_warm_start,
    ingest,
    learn_vocabulary,
    sample,
)
from charpipe_pipelines.options import TrainAndSampleOptions
from charpipe_pipelines.placement import check_workers, spread, train_by
from charpipe_pipelines.training_result import TrainingResult


def recipe(context: Context, options: TrainAndSampleOptions) -> TrainingResult:
    """From raw text to a sample."""
    corpus = options.corpus
    start = find_warm_start(context, options.from_) if options.from_ else None
    context = spread(context, options.runner)
    documents = ingest(context, corpus)
    vocabulary = learn_vocabulary(context, corpus, documents, start)
    tokens = encode(context, corpus, documents, vocabulary)
    request = TrainRequest(corpus, options.arch, "train-and-sample", options.recorded, start, options.replay)
    trained = train_by(context, options.runner, options.workers, request, tokens, vocabulary)
    scores = evaluate(context, trained, tokens)
    written = sample(context, trained)
    return TrainingResult(
        trained.run, corpus, scores.metrics, scores.warning, scores.predictions, written.text
    )


def check(context: Context, options: TrainAndSampleOptions) -> None:
    """Raise if a request is invalid, before anything starts."""
    check_here(context, options.corpus, options.arch, options.from_, options.replay)
    check_workers(context, options.arch, options.runner, options.workers)


def title(options: TrainAndSampleOptions) -> str:
    """`linux_src lstm`."""
    return f"{options.corpus} {options.arch}"


def __getattr__(name: str) -> Any:
    """The pipeline's Prefect flow, by the name that deployments of earlier releases know."""
    if name == "train_and_sample":
        from charpipe_pipelines.flows import flow_named

        return flow_named("train-and-sample")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
