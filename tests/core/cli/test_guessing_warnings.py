"""What a user is told of a model that is worse than guessing, wherever its score is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import charpipe
from charpipe.cli import main
from charpipe.events import Notice
from charpipe.stages.session import ignore

SETTINGS = {
    "tracking.enabled": False,
    "train.steps": 2,
    "train.batch_size": 4,
    "train.window": 8,
    "architectures.rnn.hidden_size": 16,
    "sample.length": 20,
}
ADVICE = "--set train.learning_rate=0.006 (it was 100), and if that is not enough with a train.clip below 1"


def train(rate: float, listen=ignore) -> charpipe.Trained:
    return charpipe.train("mine.txt", "rnn", settings=SETTINGS | {"train.learning_rate": rate}, listen=listen)


@pytest.fixture
def corpus(project: Path) -> None:
    (project / "pipelines.toml").write_text("[tracking]\nenabled = false\n")
    (project / "mine.txt").write_text("the quick brown fox jumps over the lazy dog. " * 300)


@pytest.fixture
def bad(corpus: None) -> str:
    return train(100).name


@pytest.fixture
def good(corpus: None) -> str:
    return train(0.006).name


def test_training_warns_each_time_it_is_worse_than_guessing(corpus: None, heard) -> None:
    for _ in range(2):  # trained now, and found done
        heard.clear()
        found = train(100, heard)
        assert found.warning is not None
        assert found.name in found.warning
        assert ADVICE in found.warning
        assert heard.of(Notice) == [Notice(found.warning, "warning")]


def test_training_two_steps_with_the_defaults_does_not_warn(corpus: None, heard) -> None:
    assert train(0.006, heard).warning is None
    assert heard.of(Notice) == []


def test_runs_show_warns(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "show", bad]) == 0
    assert f"{bad} is worse than guessing: its val loss is" in capsys.readouterr().out
    assert main(["runs", "show", bad, "--json"]) == 0
    assert ADVICE in json.loads(capsys.readouterr().out)["warning"]


@pytest.mark.parametrize("words", [["evaluate", "last"], ["evaluate", "last", "mine.txt"]])
def test_evaluate_warns(bad: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    said = capsys.readouterr()
    assert "is worse than guessing: its" in said.err
    assert ADVICE in said.err
    assert "guessing" not in said.out
    assert main([*words, "--json"]) == 0
    assert ADVICE in json.loads(capsys.readouterr().out)["warning"]


def test_nothing_warns_of_a_usual_run(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["runs", "show"], ["evaluate", "last"], ["evaluate", "last", "mine.txt"]):
        assert main(words) == 0
        said = capsys.readouterr()
        assert "guessing" not in said.out + said.err
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["warning"] is None
