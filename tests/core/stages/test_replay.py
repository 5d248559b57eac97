"""The recorded plan of a run is made again: the same steps, learning rates and weights; and what is in its way."""

from __future__ import annotations

from pathlib import Path

import pytest

import charpipe
from charpipe.cli import main
from charpipe.errors import InterruptedRun, RunError, UsageError
from charpipe.events import Finished, Notice, Step
from charpipe.runs import Run, list_runs
from charpipe.stages import Context
from simulated_clock import simulate

SETTINGS = {
    "tracking.enabled": False,
    "train.budget": "10s",
    "train.batch_size": 4,
    "train.window": 8,
    "train.max_epochs": 1e5,
    "architectures.rnn.hidden_size": 8,
    "sample.length": 20,
}
UNTIMED = {key: value for key, value in SETTINGS.items() if key != "train.budget"}
OPTIONS = [f"--set={key}={str(value).lower()}" for key, value in UNTIMED.items()]


def slower_later(now: float) -> float:
    return 0.05 if now < 4 else 0.2


def weights(run: Run) -> bytes:
    return (run.checkpoint("last") / "model.safetensors").read_bytes()


def rates(heard) -> list[tuple[int, float]]:
    return [(event.step, event.learning_rate) for event in heard.of(Step)]


@pytest.fixture
def corpus(project: Path) -> None:
    (project / "mine.txt").write_text("the quick brown fox jumps over the lazy dog. " * 100)
    (project / "other.txt").write_text("sphinx of black quartz, judge my vow. " * 100)


@pytest.fixture
def first(corpus: None, monkeypatch: pytest.MonkeyPatch, heard) -> Run:
    """A run whose plan was revised, because the machine became slower."""
    with monkeypatch.context() as patch:
        simulate(patch, slower_later)
        return Run(charpipe.train("mine.txt", "rnn", settings=SETTINGS, listen=heard).folder)


def test_replay_gives_the_same_bits_on_a_machine_of_another_speed(
    first: Run, heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = rates(heard)
    heard.clear()
    simulate(monkeypatch, lambda now: 1.0)
    again = Run(charpipe.train("mine.txt", "rnn", settings=UNTIMED, replay=first.name, listen=heard).folder)
    assert again.name != first.name
    assert rates(heard) == made
    assert weights(again) == weights(first)
    assert heard.of(Step)[-1].budget_left is None  # it takes as long as it takes
    assert heard.of(Finished)[-1].seconds > 10
    assert heard.of(Notice)[0].message.startswith(f"replays the plan of {first.name}: ")
    found = charpipe.train("mine.txt", "rnn", settings=UNTIMED, replay=first.name)
    assert found.name == again.name  # the same call again returns the same run


def test_replay_that_was_interrupted_goes_on_with_the_plan(
    first: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts: list[Context] = []
    monkeypatch.setattr(Context, "__post_init__", lambda context: contexts.append(context))

    def stop(event: object) -> None:
        if isinstance(event, Step) and event.step == 20:
            contexts[-1].stop.request(2)

    with pytest.raises(InterruptedRun):
        charpipe.train("mine.txt", "rnn", settings=UNTIMED, replay=first.name, listen=stop)
    cut = list_runs(first.folder.parent)[-1]
    assert (cut.status.state, cut.status.step) == ("interrupted", 20)
    found = charpipe.train("mine.txt", "rnn", settings=UNTIMED, replay=first.name)
    assert found.name == cut.name
    assert weights(Run(found.folder)) == weights(first)


def test_other_settings_are_told(first: Run, heard) -> None:
    charpipe.train("mine.txt", "rnn", settings=UNTIMED | {"train.seed": 7}, replay=first.name, listen=heard)
    [warning] = [notice.message for notice in heard.of(Notice) if notice.level == "warning"]
    assert "the weights will be others: train.seed was 1, is 7" in warning


def test_replay_refuses_what_it_cannot_make_again(first: Run, project: Path) -> None:
    with pytest.raises(UsageError, match=r"was trained on \./mine\.txt, not on \./other\.txt"):
        charpipe.train("other.txt", "rnn", settings=UNTIMED, replay=first.name)
    with pytest.raises(UsageError, match="type --arch rnn"):
        charpipe.train("mine.txt", "gru", settings=UNTIMED, replay=first.name)
    with pytest.raises(UsageError, match="leave --steps and --budget out"):
        charpipe.train("mine.txt", "rnn", settings=UNTIMED | {"train.steps": 5}, replay=first.name)
    with (project / "mine.txt").open("a") as file:
        file.write("and one more line.")
    with pytest.raises(UsageError, match=r"is not that of \./mine\.txt today"):
        charpipe.train("mine.txt", "rnn", settings=UNTIMED, replay=first.name)
    assert len(list_runs(first.folder.parent)) == 1


def test_run_without_a_plan_is_refused(corpus: None) -> None:
    counted = charpipe.train("mine.txt", "ngram", settings={"tracking.enabled": False, "sample.length": 20})
    with pytest.raises(RunError, match="without a plan of steps"):
        charpipe.train("mine.txt", "ngram", settings={"tracking.enabled": False}, replay=counted.name)


def test_run_with_a_damaged_plan_is_refused(first: Run) -> None:
    (first.checkpoint("last") / "state.json").write_text("{}")
    with pytest.raises(RunError, match="has no recorded plan that can be replayed"):
        charpipe.train("mine.txt", "rnn", settings=UNTIMED, replay=first.name)


@pytest.mark.parametrize("length", [["--steps", "5"], ["--budget", "5s"], ["--set", "train.budget=5s"]])
def test_command_line_refuses_a_length_beside_a_replay(
    first: Run, length: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "train-and-sample", "--corpus", "mine.txt", "--arch", "rnn", "--replay", first.name]
    assert main([*words, *OPTIONS, *length]) == 2
    assert "leave --steps and --budget out" in capsys.readouterr().err
    assert len(list_runs(first.folder.parent)) == 1


def test_resumed_replay_refuses_another_length(first: Run, capsys: pytest.CaptureFixture[str]) -> None:
    copy = charpipe.train("mine.txt", "rnn", settings=UNTIMED, replay=first.name)
    Run(copy.folder).update(state="interrupted")
    assert main(["resume", copy.name, "--steps", "500"]) == 2
    assert f"{copy.name} replays the plan of {first.name}" in capsys.readouterr().err
