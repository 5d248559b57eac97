"""`charpipe models` and `champion:CORPUS` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charpipe.cli import main
from charpipe.runs import list_runs
from charpipe.workspace import Workspace


def train(steps: int) -> str:
    from charpipe import train

    settings = {"tracking.enabled": False, "train.steps": steps, "architectures.rnn.hidden_size": 8}
    return train("mine.txt", "rnn", settings=settings | {"sample.length": 20}).name


@pytest.fixture
def runs(project: Path) -> tuple[str, str]:
    """A good run and a bad one."""
    (project / "pipelines.toml").write_text("[tracking]\nenabled = false\n")
    (project / "mine.txt").write_text("the quick brown fox jumps over the lazy dog. " * 300)
    return train(40), train(1)


def test_promote_list_show_and_rollback(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = runs
    assert main(["models", "list"]) == 0
    assert "No corpus has a champion yet" in capsys.readouterr().out
    assert main(["models", "promote", good]) == 0
    assert f"champion:./mine.txt is version 1, {good}" in capsys.readouterr().out
    assert main(["models", "promote", bad]) == 1
    said = capsys.readouterr().err
    assert "bits per character worse" in said
    assert f"charpipe models promote {bad} --anyway" in said
    assert main(["models", "promote", bad, "--anyway", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by"] == "user"
    assert main(["models", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["is"], row["run"], row["files"]) for row in rows] == [
        ("previous", good, "whole"),
        ("champion", bad, "whole"),
    ]
    assert main(["models", "rollback", "mine.txt"]) == 0
    assert "version 1 again" in capsys.readouterr().out
    assert main(["models", "show", "mine.txt"]) == 0
    shown = capsys.readouterr().out
    assert f"champion:./mine.txt is version 1, {good}" in shown
    assert "the last of 4 decisions" in shown
    assert main(["models", "show", "mine.txt", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["decisions"]) == 4


def test_champion_stands_wherever_a_run_does(
    runs: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "promote", runs[0]]) == 0
    for words in (
        ["sample", "champion:mine.txt", "--length", "5"],
        ["evaluate", "champion:mine.txt", "--json"],
        ["evaluate", "champion:mine.txt", "mine.txt"],
        ["runs", "show", "champion:mine.txt"],
    ):
        assert main(words) == 0, words
    capsys.readouterr()
    assert main(["sample", "champion:mine"]) == 2
    assert "'mine' has no champion; did you mean './mine.txt'?" in capsys.readouterr().err
    assert main(["models", "rollback", "nope"]) == 2
    assert main(["models", "show", "mine.tx"]) == 2
    assert main(["models", "list", "--corpus", "mine.tx"]) == 2
    assert "did you mean './mine.txt'" in capsys.readouterr().err


def test_a_damaged_champion_is_an_error_that_says_what_to_type(
    runs: tuple[str, str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "promote", runs[0]]) == 0
    workspace = Workspace(project / ".charpipe")
    (weights,) = workspace.root.glob("champions/*/versions/0001/checkpoint/model.safetensors")
    weights.unlink()
    capsys.readouterr()
    assert main(["sample", "champion:mine.txt"]) == 1
    said = capsys.readouterr().err
    assert "model.safetensors is gone" in said
    command = said.split("type: charpipe ")[-1] if "type:" in said else said.rsplit("charpipe ", 1)[-1]
    assert command.strip() == f"models promote {runs[0]} --anyway"
    assert main(command.split()) == 0
    assert main(["sample", "champion:mine.txt", "--length", "5"]) == 0
    assert len(list_runs(workspace.runs)) == 2
