"""The same stages for a model that is counted: cached, gone on with, scored beside compressors, found by name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from test_stages import corpus, pipeline, ran  # noqa: F401

from charpipe.errors import InterruptedRun
from charpipe.runs import find_run
from charpipe.tracking import TrackingConfig
from charpipe.tracking.models import find_model
from charpipe_ngram.model import NgramPredictor


def test_it_runs_once_whatever_training_is_told(corpus, open_context, heard) -> None:  # noqa: F811
    trained, scores, sample = pipeline(open_context(), arch="ngram")
    assert ran(heard) == ["ingest", "vocabulary", "encode", "train", "evaluate", "sample"]
    again = pipeline(open_context(**{"train.learning_rate": 0.5}), arch="ngram")
    assert again == (again[0], scores, sample)
    assert (again[0].run, again[0].reused) == (trained.run, True)
    assert trained.steps == 1
    assert {"test/bits_per_char", "test/xz_bits_per_char"} <= set(scores.metrics)


def test_another_order_is_another_run(corpus, open_context) -> None:  # noqa: F811
    first, *_ = pipeline(open_context(), arch="ngram")
    second, *_ = pipeline(open_context(**{"architectures.ngram.order": 3}), arch="ngram")
    assert first.run != second.run


def test_it_is_found_and_loaded(corpus, open_context) -> None:  # noqa: F811
    context = open_context()
    trained, *_ = pipeline(context, arch="ngram")
    loaded = find_model("best:mine.txt", context.workspace, context.registry, TrackingConfig())
    assert loaded.name == trained.run
    assert isinstance(loaded.predictor(), NgramPredictor)
    status = find_run(context.workspace.runs, "last").status
    assert status.parameters == loaded.model.parameters > 0
    assert loaded.model.title == "ngram order 10"


def test_a_stop_and_the_same_command_again(corpus, open_context) -> None:  # noqa: F811
    context = open_context()
    stop = context.stop
    context = replace(
        context,
        emit=lambda event: stop.request(15) if type(event).__name__ == "TrainingStarted" else None,
    )
    with pytest.raises(InterruptedRun, match="charpipe resume"):
        pipeline(context, arch="ngram")
    run = find_run(context.workspace.runs, "last")
    assert (run.status.state, run.status.step) == ("interrupted", 0)
    trained, *_ = pipeline(open_context(), arch="ngram")
    assert trained.run == run.name
    assert run.status.state == "finished"


def test_an_infinite_loss_is_told_as_a_count(corpus, open_context) -> None:  # noqa: F811
    settings = {"architectures.ngram.smoothing": "none", "architectures.ngram.order": 2}
    corpus.write_text("ab" * 400 + "bb" * 10)
    context = open_context(**settings)
    trained, scores, _ = pipeline(context, arch="ngram")
    assert scores.metrics["test/impossible_tokens"] > 0
    assert "test/loss" not in scores.metrics
    status = (context.workspace.root / trained.path / "status.json").read_text()
    assert "Infinity" not in status and json.loads(status)["state"] == "finished"
