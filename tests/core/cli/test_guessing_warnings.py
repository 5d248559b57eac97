"""What a user is told of a model that is worse than guessing, wherever its score is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import charpipe
from charpipe.cli import main
from charpipe.cli.output import printed
from charpipe.cli.views.progress import Progress
from charpipe.comparison import ComparisonResult, Row
from charpipe.comparison.leaderboard import LeaderboardEntry, cells_of
from charpipe.events import Notice
from charpipe.stages.context import ignore
from charpipe_pipelines.compare_architectures import show

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


def test_runs_list_and_compare_warn(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    usual = train(0.006).name
    assert main(["runs", "list"]) == 0
    said = capsys.readouterr().out
    assert f"worse than guessing: {bad}; for what to set, type: charpipe runs show {bad}" in said
    assert f"worse than guessing: {usual}" not in said
    assert main(["runs", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {row["run"]: row["worse_than_guessing"] for row in listed} == {bad: True, usual: False}
    assert main(["runs", "compare", bad, usual]) == 0
    said = capsys.readouterr().out
    assert f"warning: {bad} is worse than guessing" in said
    assert f"{usual} is worse" not in said
    assert main(["runs", "compare", bad, usual, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 1


def test_report_page_warns(bad: str, project: Path) -> None:
    assert main(["report", bad, "--output", "bad.html"]) == 0
    assert f"{bad} is worse than guessing" in (project / "bad.html").read_text("utf-8")
    assert main(["report", train(0.006).name, "--output", "good.html"]) == 0
    assert "guessing" not in (project / "good.html").read_text("utf-8")


def test_inspect_warns(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", bad, "--search", "0"]) == 0
    assert f"note: {bad} is worse than guessing: its text loss is" in capsys.readouterr().out


def test_first_champion_worse_than_guessing_is_said_so(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "promote", bad]) == 0
    said = capsys.readouterr()
    assert "there was no champion; it is worse than guessing" in said.out
    assert ADVICE in said.err
    assert main(["models", "show", "mine.txt"]) == 0
    assert "there was no champion; it is worse than guessing" in capsys.readouterr().out


def test_usual_champion_is_promoted_without_a_warning(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "promote", good]) == 0
    said = capsys.readouterr()
    assert "guessing" not in said.out + said.err


def test_comparison_marks_what_is_worse_than_guessing(corpus: None, heard) -> None:
    settings = SETTINGS | {"train.learning_rate": 100.0}
    found = charpipe.compare("mine.txt", ["rnn"], sizes=[16], settings=settings, listen=heard)
    [run] = [row for row in found.rows if row["run"]]
    assert run["worse_than_guessing"] is True
    assert [notice for notice in heard.of(Notice) if ADVICE in notice.message]
    entries = tuple(LeaderboardEntry(**one) for one in found.leaderboard)
    rows = tuple(Row(**row) for row in found.rows)
    shown = "\n".join(printed(show(ComparisonResult(found.name, "mine.txt", found.folder, entries, rows))))
    [entry] = [LeaderboardEntry(**one) for one in found.leaderboard if not one["baseline"]]
    assert cells_of(entry)[-1].endswith("  1 worse than guessing")
    assert f"charpipe runs show {run['run']}" in shown


def test_nothing_warns_of_a_usual_run(good: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["runs", "show"], ["evaluate", "last"], ["evaluate", "last", "mine.txt"]):
        assert main(words) == 0
        said = capsys.readouterr()
        assert "guessing" not in said.out + said.err
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["warning"] is None


def test_warning_that_was_shown_while_it_worked_is_not_repeated() -> None:
    progress = Progress("train-and-sample", "hello")
    lines = ["  warning: it is bad", "  run       r"]
    assert list(progress.without_told(lines)) == lines
    progress.take(Notice("it is bad", "warning"))
    assert list(progress.without_told(lines)) == lines[1:]
