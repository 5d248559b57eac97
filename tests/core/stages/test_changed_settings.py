"""Going on with other settings: those that are safe are taken and written down, others are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from charpipe import stages
from charpipe.cli import main
from charpipe.errors import CharpipeError, InterruptedRun, RunError, UsageError
from charpipe.events import Notice, Step
from charpipe.runs import list_runs
from charpipe.stages import Context, TrainRequest


def train(context: Context) -> stages.TrainedRun:
    documents = stages.ingest(context, "mine.txt")
    vocabulary = stages.learn_vocabulary(context, "mine.txt", documents)
    tokens = stages.encode(context, "mine.txt", documents, vocabulary)
    request = TrainRequest("mine.txt", "rnn", "train-and-sample", {"corpus": "mine.txt", "arch": "rnn"})
    return stages.train(context, request, tokens, vocabulary)


@pytest.fixture
def interrupted(project: Path, open_context, heard):
    """A run of 12 steps that was stopped after 5."""
    (project / "mine.txt").write_text("the quick brown fox jumps over the lazy dog. " * 40)
    context = open_context(train__engine="plain")

    def emit(event) -> None:
        heard(event)
        if isinstance(event, Step) and event.step == 5:
            context.stop.request(15)

    context = replace(context, emit=emit)
    with pytest.raises(InterruptedRun):
        train(context)
    heard.clear()
    (run,) = list_runs(context.workspace.runs)
    return run


def test_safe_changes_are_taken_and_written_down(interrupted, open_context, heard) -> None:
    changed = {"train__engine": "plain", "train__steps": 20, "train__evaluate_every": 3}
    assert train(open_context(resume=interrupted, **changed)).run == interrupted.name
    assert [event.step for event in heard.of(Step)] == list(range(6, 21))
    assert any("steps 12 -> 20" in event.message for event in heard.of(Notice))
    info = interrupted.info
    assert info.facts["changes"] == [{"step": 5, "settings": {"steps": 20, "evaluate_every": 3}}]
    assert (info.settings["train.steps"], info.settings["train.evaluate_every"]) == (20, 3)


def test_neither_the_first_settings_nor_the_new_ones_take_it_for_their_result(
    interrupted, open_context
) -> None:
    train(open_context(resume=interrupted, train__engine="plain", train__steps=15))
    for steps in (12, 15):
        other = train(open_context(train__engine="plain", train__steps=steps))
        assert (other.reused, other.steps) == (False, steps)
        assert other.run != interrupted.name


def test_what_was_changed_once_may_be_changed_again_and_be_gone_on_with(
    interrupted, open_context, heard
) -> None:
    context = open_context(resume=interrupted, train__engine="auto", train__steps=20)

    def emit(event) -> None:
        if isinstance(event, Step) and event.step == 9:
            context.stop.request(15)

    context = replace(context, emit=emit)
    with pytest.raises(InterruptedRun):
        train(context)
    train(open_context(resume=interrupted, train__engine="auto", train__steps=18))
    assert [change["step"] for change in interrupted.info.facts["changes"]] == [5, 9]
    assert interrupted.status.step == 18


def test_unsafe_changes_are_refused_and_change_nothing(interrupted, open_context) -> None:
    before = (interrupted.folder / "run.json").read_text()
    with pytest.raises(
        UsageError, match=r"train\.learning_rate 0\.\d+ -> 0\.5; leave train\.learning_rate out"
    ):
        train(open_context(resume=interrupted, train__engine="plain", train__learning_rate=0.5))
    assert (interrupted.folder / "run.json").read_text() == before


def test_resume_names_the_settings_that_cannot_change(interrupted, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--set", "train.batch_size=7", "--set", "architectures.rnn.layers=3"]
    assert main(["resume", interrupted.name, *words]) == 2
    error = capfd.readouterr().err
    assert (
        "train.batch_size 4 -> 7, architectures.rnn.layers 1 -> 3; leave train.batch_size and arch" in error
    )
    assert error.count("\n") == 1  # before PyTorch is loaded, which a line says


def test_changed_code_of_an_architecture_is_refused_as_such(interrupted, open_context) -> None:
    interrupted.rewrite(interrupted.info.model_copy(update={"action": "0" * 64}))
    with pytest.raises(RunError, match="cannot be resumed: its settings or the architecture's code changed"):
        train(open_context(resume=interrupted))


@pytest.mark.parametrize("refused", [{"train__device": "cuda:9"}, {"train__precision": "float16"}], ids=str)
def test_what_this_machine_cannot_do_is_not_written_down(interrupted, open_context, refused) -> None:
    before = (interrupted.folder / "run.json").read_text()
    with pytest.raises(CharpipeError):
        train(open_context(resume=interrupted, train__engine="plain", **refused))
    assert (interrupted.folder / "run.json").read_text() == before
    assert train(open_context(resume=interrupted, train__engine="plain")).steps == 12


def test_a_run_that_another_process_trains_is_left_as_it_is(interrupted, open_context) -> None:
    before = (interrupted.folder / "run.json").read_text()
    with interrupted.lock(), pytest.raises(RunError, match="trained by another process"):
        train(open_context(resume=interrupted, train__engine="plain", train__steps=7))
    assert (interrupted.folder / "run.json").read_text() == before


def test_a_budget_takes_the_place_of_steps(interrupted, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", interrupted.name, "--steps", "20", "--budget", "9s"]) == 2
    assert "give one of them" in capfd.readouterr().err
    spent = ["--budget", "0.001s", "--set", "tracking.enabled=false"]
    assert main(["resume", interrupted.name, *spent]) == 0
    assert interrupted.info.settings["train.steps"] is None
    assert (interrupted.status.state, interrupted.status.step) == ("finished", 5)


def test_a_run_that_is_finished_is_not_gone_on_with(
    interrupted, open_context, capfd: pytest.CaptureFixture[str]
) -> None:
    train(open_context(resume=interrupted, train__engine="plain"))
    assert main(["resume", interrupted.name, "--steps", "20"]) == 1
    assert "is finished (12 steps)" in capfd.readouterr().err
