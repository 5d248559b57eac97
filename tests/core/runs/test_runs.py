"""A run folder tells the truth after any crash, and is found by what a person types."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from charpipe.errors import RunError, UsageError
from charpipe.events import (
    Checkpointed,
    CheckpointStarted,
    Evaluated,
    Finished,
    Reported,
    Sampled,
    TrainingStarted,
)
from charpipe.runs import Recorder, Run, RunInfo, find_run, list_runs, read_metrics
from charpipe.runs.find import new_name


def make(folder: Path, name: str, *, corpus: str = "hello", created: str = "2026-01-01", **status) -> Run:
    info = RunInfo(
        schema="charpipe.run/1",
        name=name,
        created=created,
        action="a",
        corpus=corpus,
        architecture="rnn",
        architecture_config={},
        vocabulary_size=4,
        inputs={},
    )
    run = Run.create(folder / name, info)
    run.update(**status)
    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_a_run_is_found_by_what_a_person_types(runs: Path) -> None:
    make(runs, "20260101-0900-hello-rnn-aaaa", state="finished", metrics={"val/bits_per_char": 2.0})
    best = make(
        runs,
        "20260101-0900-hello-rnn-bbbb",
        created="2026-01-02",
        state="finished",
        metrics={"val/bits_per_char": 1.0},
    )
    last = make(
        runs, "20260102-0900-ts-lstm-cccc", corpus="ts", created="2026-01-03", mlflow={"run_id": "0123abc"}
    )
    assert find_run(runs, "last").name == last.name
    assert find_run(runs, "20260102").name == last.name
    assert find_run(runs, "0123abc").name == last.name
    assert find_run(runs, "best:hello").name == best.name
    assert find_run(runs, best.name).name == best.name
    assert [run.name for run in list_runs(runs)][-1] == last.name
    with pytest.raises(UsageError, match="'20260101' is a prefix of the names of 2 runs"):
        find_run(runs, "20260101")
    with pytest.raises(UsageError, match="did you mean '20260102-0900-ts-lstm-cccc'"):
        find_run(runs, "20260102-0900-ts-lstm-ccdc")
    with pytest.raises(RunError, match="no finished run of 'ts' has a score yet"):
        find_run(runs, "best:ts")


def test_an_empty_workspace_says_what_to_type(runs: Path) -> None:
    with pytest.raises(RunError, match="type: charpipe run train-and-sample --corpus hello"):
        find_run(runs, "last")


def test_names_can_be_read_and_sorted() -> None:
    assert re.fullmatch(r"\d{8}-\d{4}-my_corpus_x.txt-lstm-[0-9a-f]{4}", new_name("my corpus/x.txt", "lstm"))


def test_a_run_without_a_checkpoint_says_so(runs: Path) -> None:
    run = make(runs, "one")
    with pytest.raises(RunError, match="has no checkpoint yet"):
        run.checkpoint()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "not a JSON object"),
        ('{"schema": "x"}', "has the schema 'x'"),
        ("{}", "None"),
    ],
)
def test_a_damaged_run_file_is_named(runs: Path, text: str, said: str) -> None:
    run = make(runs, "one")
    (run.folder / "run.json").write_text(text)
    with pytest.raises(RunError) as caught:
        _ = run.info
    assert said in str(caught.value)


def report(step: int, loss: float) -> Reported:
    return Reported(step, {"train/loss": loss, "train/learning_rate": 0.1})


def test_every_metric_that_is_reported_is_recorded(runs: Path) -> None:
    run = make(runs, "one")
    recorder = Recorder(run)
    recorder(TrainingStarted("one", 0, 30, "cpu", "float32", 10, "rnn 1x4"))
    recorder(Reported(10, {"train/loss": 5.5, "mine/first": 1.0}))
    recorder(Evaluated(12, {"train/loss": 9.0, "val/loss": 2.0, "mine/second": 3.0}))
    recorder(Reported(20, {"train/loss": 15.5, "mine/first": 2.0}))
    lines = [{key: line[key] for key in line if key != "time"} for line in read_metrics(run.metrics_file)]
    assert lines == [
        {"step": 10, "train/loss": 5.5, "mine/first": 1.0},
        {"step": 12, "val/loss": 2.0, "mine/second": 3.0},
        {"step": 20, "train/loss": 15.5, "mine/first": 2.0},
    ]


def test_reason_for_the_engine_stays_while_the_engine_does(runs: Path) -> None:
    run = make(runs, "one")
    for engine, told, kept in (
        ("plain", "it was faster", "it was faster"),
        ("plain", None, "it was faster"),
        ("plain", "asked for", "asked for"),
        ("fast", None, None),
    ):
        Recorder(run)(TrainingStarted("one", 0, 30, "cpu", "float32", 10, "rnn 1x4", engine, told))
        assert (run.status.engine, run.status.engine_reason) == (engine, kept)


@pytest.mark.parametrize("told", [True, False])
def test_going_on_from_a_checkpoint_records_what_an_uninterrupted_run_would(runs: Path, told: bool) -> None:
    """Whether or not the run, before it was killed, heard that its checkpoint had come to lie on disk."""
    run = make(runs, "one")
    recorder = Recorder(run)
    recorder(report(10, 5.5))
    saved = run.checkpoints / "step-00000013"
    recorder(CheckpointStarted(13))
    saved.mkdir(parents=True)
    if told:
        recorder(Checkpointed(13, str(saved), best=True))
    recorder(report(20, -1.0))
    recorder(Evaluated(22, {"val/loss": 9.0}))
    recorder(Sampled(22, "abc"))

    fresh = Recorder(run)
    fresh.rewind(13, saved, saved)
    fresh(report(20, 15.5))
    lines = list(read_metrics(run.metrics_file))
    assert [(line["step"], line["train/loss"]) for line in lines] == [(10, 5.5), (20, 15.5)]
    assert list(read_metrics(run.samples_file)) == []
    assert (
        run.status.best
        == run.status.last
        == {
            "step": 13,
            "path": "checkpoints/step-00000013",
            "metrics": {"train/loss": 5.5, "train/learning_rate": 0.1},
        }
    )


def test_the_end_is_recorded(runs: Path) -> None:
    run = make(runs, "one")
    recorder = Recorder(run)
    recorder(Finished(30, "steps", 2.5, {"val/loss": 1.0}))
    assert (run.status.state, run.status.seconds, run.status.metrics) == ("finished", 2.5, {"val/loss": 1.0})
    recorder(Finished(31, "interrupted", 2.5))
    assert (run.status.state, run.status.seconds) == ("interrupted", 5.0)


def test_a_line_that_a_crash_cut_short_is_left_out(runs: Path) -> None:
    run = make(runs, "one")
    run.metrics_file.write_text(json.dumps({"step": 1}) + '\n{"step": 2, "tra')
    assert list(read_metrics(run.metrics_file)) == [{"step": 1}]
