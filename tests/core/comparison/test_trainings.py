from __future__ import annotations

import csv
from dataclasses import replace
from typing import Any

import pytest

import charpipe
from charpipe import stages
from charpipe.comparison import Comparison, Row, conclude, plan_comparison, train_trial
from charpipe.errors import Incomplete, InterruptedRun, UsageError
from charpipe.events import StageFailed, StageFinished, StagesPlanned, StageStarted, Step, TrainingStarted
from charpipe.runs import Run, list_runs
from charpipe.stages import Context, WouldRun

TEXT = "to be, or not to be, that is the question: " * 40


def prepared(context: Context, project: Any) -> tuple[str, Any, Any]:
    file = project / "corpus.txt"
    file.write_text(TEXT)
    documents = stages.ingest(context, str(file))
    vocabulary = stages.learn_vocabulary(context, str(file), documents)
    return str(file), stages.encode(context, str(file), documents, vocabulary), vocabulary


def compared(
    context: Context, project: Any, archs: list[str], match: Any = "units", seeds: int = 1
) -> tuple[Comparison, list[Row]]:
    corpus, tokens, vocabulary = prepared(context, project)
    planned = plan_comparison(context, corpus, archs, [8], [1], seeds, match, tokens)
    rows = [train_trial(context, trial, corpus, tokens, vocabulary, planned.name) for trial in planned.trials]
    return planned, rows


def test_widths_have_as_many_parameters_as_the_first_architecture(open_context, project, heard) -> None:
    context = open_context()
    planned, rows = compared(context, project, ["rnn", "lstm"], "parameters")
    rnn, lstm = rows
    assert (rnn.title, planned.trials[0].size) == ("rnn 1x8", 8)
    assert 1 <= planned.trials[1].size < 8
    assert abs(lstm.parameters - rnn.parameters) / rnn.parameters < 0.15
    assert Run(context.workspace.runs / lstm.run).info.architecture_config["hidden_size"] == lstm_size(lstm)
    assert heard.of(StagesPlanned)[0].stages == tuple(trial.name for trial in planned.trials)


def lstm_size(row: Row) -> int:
    return int(row.title.rpartition("x")[2])


def test_all_see_the_same_data_and_are_scored_alike(open_context, project) -> None:
    context = open_context()
    planned, rows = compared(context, project, ["rnn", "gru", "ngram"], seeds=2)
    assert [(row.title, row.seed) for row in rows] == [
        ("rnn 1x8", 1),
        ("rnn 1x8", 2),
        ("gru 1x8", 1),
        ("gru 1x8", 2),
        ("ngram", None),
    ]
    infos = [Run(context.workspace.runs / row.run).info for row in rows]
    assert len({info.inputs["tokens"] for info in infos}) == 1
    assert [info.settings["train.seed"] for info in infos[:4]] == [1, 2, 1, 2]
    assert all(row.engine and row.parameters and row.speed and row.test_bits for row in rows)
    assert all(Run(context.workspace.runs / row.run).status.comparison == planned.name for row in rows)

    result = conclude(context, planned, rows)
    titles = {one.title for one in result.leaderboard}
    assert {"rnn 1x8", "gru 1x8", "ngram", "xz", "zstd"} <= titles
    folder = context.workspace.root / "comparisons" / planned.name
    with (folder / "leaderboard.csv").open(encoding="utf-8") as file:
        board = list(csv.DictReader(file))
    assert [one["title"] for one in board] == [one.title for one in result.leaderboard]
    bits = [float(one["bits"]) for one in board]
    assert bits == sorted(bits)
    assert all(float(one["deviation"]) >= 0 for one in board if one["seeds"] == "2")


def test_what_is_finished_is_not_trained_again(open_context, project, heard) -> None:
    planned, rows = compared(open_context(), project, ["rnn", "ngram"])
    heard.clear()
    assert compared(open_context(), project, ["rnn", "ngram"]) == (planned, rows)
    assert all(event.skipped for event in heard.of(StageFinished))
    assert not heard.of(TrainingStarted)


def test_one_failure_is_a_row_and_the_others_go_on(open_context, project, heard) -> None:
    broken = {"architectures__gru__tie_weights": True, "architectures__gru__embedding_size": 5}
    context = open_context(**broken)
    planned, rows = compared(context, project, ["gru", "rnn"])
    assert rows[0].error
    assert "\n" not in rows[0].error
    assert (rows[1].title, rows[1].error) == ("rnn 1x8", "")
    assert [event.stage for event in heard.of(StageFailed)] == ["gru 1x8 seed 1"]
    with pytest.raises(Incomplete, match="1 of 2 trainings failed") as caught:
        conclude(context, planned, rows)
    assert caught.value.exit_code == 1
    assert caught.value.result.leaderboard[-1].error == rows[0].error
    assert (context.workspace.root / "comparisons" / planned.name / "leaderboard.csv").is_file()


def test_a_stop_saves_and_the_same_again_goes_on(open_context, project, heard) -> None:
    context = open_context(train__checkpoint_every=4)
    tell, seen = context.emit, []

    def emit(event: Any) -> None:
        tell(event)
        if isinstance(event, TrainingStarted):
            seen.append(event.run)
        if isinstance(event, Step) and len(seen) == 2 and event.step == 6:
            context.stop.request(15)

    context = replace(context, emit=emit)
    with pytest.raises(InterruptedRun, match=r"stopped in gru 1x8 seed 1.*same command again") as caught:
        compared(context, project, ["rnn", "gru", "lstm"])
    assert caught.value.exit_code == 143
    assert [run.status.state for run in list_runs(context.workspace.runs)] == ["finished", "interrupted"]

    heard.clear()
    _, rows = compared(open_context(train__checkpoint_every=4), project, ["rnn", "gru", "lstm"])
    assert [event.stage for event in heard.of(StageStarted)] == ["gru 1x8 seed 1", "lstm 1x8 seed 1"]
    assert heard.of(TrainingStarted)[0].step == 6
    assert [row.run for row in rows[:2]] == seen
    assert not any(row.error for row in rows)


def test_a_dry_run_says_which_would_be_trained(open_context, project, heard) -> None:
    compared(open_context(), project, ["rnn"])
    context = open_context(dry_run=True)
    planned, rows = compared(context, project, ["rnn", "gru"])
    assert [bool(row.run) for row in rows] == [True, False]
    with pytest.raises(WouldRun, match="1 of 2 trainings would run"):
        conclude(context, planned, rows)
    done, rows = compared(context, project, ["rnn"])
    found = conclude(context, done, rows).to_json()
    assert found == {"comparison": done.name, "corpus": "./corpus.txt"}
    assert not (context.workspace.root / "comparisons").exists()


def test_equal_time_and_a_fixed_number_of_steps_contradict_each_other(open_context, project) -> None:
    with pytest.raises(UsageError, match="--budget"):
        compared(open_context(), project, ["rnn"], "time")
    _, rows = compared(open_context(train__steps=None, train__budget="1s"), project, ["rnn"], "time")
    assert rows[0].steps
    assert rows[0].title == "rnn 1x8"


def test_from_python(project, heard) -> None:
    (project / "corpus.txt").write_text(TEXT)
    settings = {"train.steps": 6, "tracking.enabled": False, "train.batch_size": 4, "train.window": 8}
    found = charpipe.compare("corpus.txt", ["rnn", "gru"], sizes=[8], settings=settings, listen=heard)
    assert {row["title"] for row in found.rows} == {"rnn 1x8", f"gru 1x{found_size(found)}"}
    assert (found.folder / "leaderboard.csv").is_file()
    with pytest.raises(UsageError, match="rnn"):
        charpipe.compare("corpus.txt", ["rnm"], settings=settings)


def found_size(found: charpipe.Compared) -> int:
    return int(found.rows[1]["title"].rpartition("x")[2])
