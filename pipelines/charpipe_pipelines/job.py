"""What the pipelines do, in order. Whether a stage is called directly or as a Prefect task is the caller's business."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from charpipe import comparison, stages
from charpipe.stages import Session, TrainRequest
from charpipe_pipelines.options import CompareOptions, ReproduceOptions, RetrainOptions, TrainAndSampleOptions


class Call(Protocol):
    """How a stage is called: by its name, with what it needs beside the session."""

    def __call__(self, stage: str, *arguments: Any) -> Any: ...


Work = Callable[[Call, Any], dict[str, Any]]
"""What a pipeline does with its options, calling stages."""

STAGES: Mapping[str, Callable[..., Any]] = {
    "start": stages.find_beginning,
    "refresh": stages.refresh,
    "ingest": stages.ingest,
    "vocabulary": stages.learn_vocabulary,
    "encode": stages.encode,
    "train": stages.train,
    "evaluate": stages.evaluate,
    "sample": stages.sample,
    "promote": stages.promote,
    "skip": stages.skip,
    "report": stages.conclude,
    "match": comparison.settle,
    "compare": comparison.train_cell,
    "leaderboard": comparison.conclude,
    "divide": comparison.divide,
    "prepare": comparison.prepare,
    "reproduce": comparison.reproduce,
    "tabulate": comparison.tabulate,
}


def directly(session: Session) -> Call:
    """Call the stages as the plain functions that they are."""
    return lambda stage, *arguments: STAGES[stage](session, *arguments)


def train_and_sample(call: Call, options: TrainAndSampleOptions) -> dict[str, Any]:
    """From raw text to a sample: `{"run", "corpus", "metrics", "warning", "predictions", "sample"}`."""
    corpus = options.corpus
    beginning = call("start", options.from_) if options.from_ else None
    documents = call("ingest", corpus)
    vocabulary = call("vocabulary", corpus, documents, beginning)
    tokens = call("encode", corpus, documents, vocabulary)
    asked = options.model_dump(mode="json")
    request = TrainRequest(corpus, options.arch, "train-and-sample", asked, beginning, options.replay)
    trained = call("train", request, tokens, vocabulary)
    scores = call("evaluate", trained, tokens)
    written = call("sample", trained)
    return {
        "run": trained.run,
        "corpus": corpus,
        "metrics": dict(scores["metrics"]),
        "warning": scores["warning"],
        "predictions": list(scores.get("predictions", [])),
        "sample": f"{written.get('prompt', '')}{written['text']}",
    }


def retrain(call: Call, options: RetrainOptions) -> dict[str, Any]:
    """From a source that may have changed to a champion that may have: the result of `train_and_sample` and what was
    decided, or `{"skipped": True, "reason", ...}`."""
    corpus = options.corpus
    night = call("refresh", corpus, options.arch, options.start)
    documents = call("ingest", corpus)
    if night.decided(documents):
        skipped: dict[str, Any] = call("skip", night, documents)
        return skipped
    vocabulary = call("vocabulary", corpus, documents, night.beginning)
    tokens = call("encode", corpus, documents, vocabulary)
    request = TrainRequest(corpus, options.arch, "retrain", options.model_dump(mode="json"), night.beginning)
    trained = call("train", request, tokens, vocabulary)
    scores = call("evaluate", trained, tokens)
    written = call("sample", trained)
    decided = call("promote", trained, tokens)
    report = call("report", night, documents, trained, decided)
    return {
        "run": trained.run,
        "corpus": night.corpus,
        "metrics": dict(scores["metrics"]),
        "warning": scores["warning"],
        "predictions": [],
        "sample": f"{written.get('prompt', '')}{written['text']}",
        **report,
    }


def compare_architectures(call: Call, options: CompareOptions) -> dict[str, Any]:
    """From raw text to a leaderboard: `{"comparison", "corpus", "folder", "leaderboard", "rows"}`.

    One training after another: each uses all cores of a CPU, or the GPU, and two at once would only share them.
    """
    corpus, wanted = options.corpus, (options.archs, options.widths, options.depths)
    documents = call("ingest", corpus)
    vocabulary = call("vocabulary", corpus, documents, None)
    tokens = call("encode", corpus, documents, vocabulary)
    settled = call("match", corpus, *wanted, options.seeds, options.match, tokens)
    rows = [call("compare", cell, corpus, tokens, vocabulary, settled.name) for cell in settled.cells]
    ranked: dict[str, Any] = call("leaderboard", settled, rows)
    return ranked


def reproduce_2015(call: Call, options: ReproduceOptions) -> dict[str, Any]:
    """From the texts of 2015 to a table: `{"reproduction", "scaled_to", "folder", "results"}`."""
    planned = call("divide", options.sources, options.widths, options.depths, options.copies)
    results: list[comparison.Result] = []
    for share in planned.shares:
        prepared = call("prepare", share)
        found = [one for model in prepared.models for one in call("reproduce", model, planned.name)]
        results += comparison.results_of(prepared, found)
    table: dict[str, Any] = call("tabulate", planned, results)
    return table
