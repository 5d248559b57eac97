"""Whole speedruns with tiny trainings and a simulated clock, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charpipe.comparison.speedrun_history import FILE
from charpipe.errors import Incomplete, UsageError
from charpipe.plugin import Table
from charpipe.runs import Run
from charpipe.stages import Context
from charpipe.stages.recipes import run_directly
from charpipe.store.json_lines import append_line, read_lines
from charpipe_pipelines.options import SpeedrunOptions
from charpipe_pipelines.speedrun import show
from simulated_clock import simulate

TEXT = "to be, or not to be, that is the question: " * 40
PRESETS = """
[presets.small]
train = {learning_rate = 1e-3, batch_size = 2, budget = "1h", steps = 7, betas = [0.9, 0.99]}
architectures.rnn = {hidden_size = 4}
architectures.gru = {hidden_size = 4}

[presets.large.train]
learning_rate = 1e-2
seed = 9
[presets.large.architectures.rnn]
hidden_size = 12

[presets.other-text]
corpus = {lowercase = true}
"""


@pytest.fixture
def speedrun(project: Path, open_context: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a speedrun of two presets on a small text, ten simulated seconds a training."""
    (project / "text.txt").write_text(TEXT)
    (project / "pipelines.toml").write_text(PRESETS)
    simulate(monkeypatch, lambda now: 0.5)

    def run(context: Context | None = None, **options: Any) -> Any:
        context = context or opened(open_context)
        asked = {"corpus": "text.txt", "arch": "rnn", "presets": "small,large", "seeds": 2, **options}
        return run_directly(context.registry.pipeline("speedrun"), SpeedrunOptions(**asked), context)

    return run


def opened(open_context: Any, **settings: Any) -> Context:
    given = {"train__steps": None, "train__budget": "10s", "architectures__rnn__hidden_size": None}
    given |= {"train__batch_size": None, "train__window": 8}
    made: Context = open_context(**(given | settings))
    return made


def test_presets_are_ranked_and_recorded(speedrun: Any, open_context: Any) -> None:
    context = opened(open_context)
    result = speedrun(context)
    assert {entry.title for entry in result.entries} == {"small rnn", "large rnn"}
    losses = [entry.val_loss for entry in result.entries]
    assert losses == sorted(losses) and all(entry.val_loss_deviation for entry in result.entries)
    assert [entry.p is None for entry in result.entries] == [True, False]
    assert (result.budget, list(result.seeds), result.earlier) == (10.0, [1, 2], [])
    assert result.machine["device"] == "cpu" and result.machine["processor"] and result.torch

    trained = [Run(context.workspace.runs / name).info for name in result.runs]
    settings = [
        [info.settings[f"train.{key}"] for key in ("seed", "learning_rate", "batch_size")] for info in trained
    ]
    assert settings == [[1, 1e-3, 2], [1, 1e-2, 32], [2, 1e-3, 2], [2, 1e-2, 32]]
    assert [info.architecture_config["hidden_size"] for info in trained] == [4, 12] * 2
    assert all(
        info.settings["train.budget"] == "10s" and info.settings["train.steps"] is None for info in trained
    )

    [line] = read_lines(context.workspace.root / FILE)
    assert line["entries"][0]["val_loss"] == losses[0] and line["runs"] == result.runs
    assert json.loads(json.dumps(result.to_json()))["entries"][1]["p"] == result.entries[1].p


def test_the_same_command_again_trains_and_records_nothing(speedrun: Any, open_context: Any) -> None:
    first = speedrun()
    assert speedrun().to_json() == first.to_json()
    assert len(read_lines(opened(open_context).workspace.root / FILE)) == 1


def test_earlier_results_are_those_of_the_same_text_machine_and_budget(
    speedrun: Any, open_context: Any
) -> None:
    speedrun(opened(open_context), presets="large")
    speedrun(opened(open_context, train__budget="20s"), presets="large")
    history = opened(open_context).workspace.root / FILE
    line = read_lines(history)[0]
    append_line(history, line | {"runs": ["of another machine"], "machine": line["machine"] | {"cores": 999}})
    result = speedrun(presets="small", seeds=1)
    assert [(one["title"], one["seeds"]) for one in result.earlier] == [("large rnn", 2)]
    tables = [part for part in show(result) if isinstance(part, Table)]
    assert tables[1].rows[0][1] == "large rnn" and tables[1].rows[0][-2] == result.charpipe


def test_flags_win_over_presets(speedrun: Any, open_context: Any) -> None:
    context = opened(open_context, train__learning_rate=5e-3)
    result = speedrun(context, seeds=1)
    infos = [Run(context.workspace.runs / name).info for name in result.runs]
    assert [info.settings["train.learning_rate"] for info in infos] == [5e-3, 5e-3]


def test_one_seed_gives_no_p_value_and_says_what_it_needs(speedrun: Any) -> None:
    result = speedrun(seeds=1)
    assert [entry.p for entry in result.entries] == [None, None]
    lines = [part for part in show(result) if isinstance(part, str)]
    assert "  a p-value needs two seeds or more: --seeds 3" in lines
    assert any(line.startswith("  machine: ") for line in lines)


def test_a_training_that_fails_is_told_and_not_recorded(speedrun: Any, open_context: Any) -> None:
    broken = {"architectures__gru__tie_weights": True, "architectures__gru__embedding_size": 5}
    context = opened(open_context, **broken)
    with pytest.raises(Incomplete, match="1 of 2 trainings failed") as caught:
        speedrun(context, presets="small", arch="rnn,gru", seeds=1)
    assert [entry.failed for entry in caught.value.result.entries] == [0, 1]
    [table] = [part for part in show(caught.value.result) if isinstance(part, Table)]
    assert "1 failed" in table.rows[1][-1]
    assert read_lines(context.workspace.root / FILE) == []


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"train__budget": None}, {}, "needs the time that each training has; type --budget 2m"),
        ({"train__steps": 5}, {}, "type --budget 2m instead of --steps"),
        ({}, {"presets": "smal"}, "no preset 'smal'; did you mean 'small'"),
        ({}, {"presets": "small,other-text"}, "other-text changes the corpus"),
        ({}, {"arch": "rnnn"}, "rnn"),
        ({}, {"arch": "rnn,ngram"}, "ngram is a count-based model"),
        ({}, {"corpus": "hello"}, "hello has no validation text"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    speedrun: Any, open_context: Any, settings: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    context = opened(open_context, **settings)
    with pytest.raises(UsageError, match=message):
        speedrun(context, **options)
    assert not list(context.workspace.runs.glob("*"))


@pytest.mark.parametrize("presets", ["", "small,", ","])
def test_names_are_divided_by_commas(presets: str) -> None:
    with pytest.raises(ValueError, match="write names, separated by commas"):
        SpeedrunOptions(corpus="text.txt", presets=presets)
