"""A whole sweep with tiny trainings, in this process."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import charpipe
from charpipe.errors import Incomplete, InterruptedRun
from charpipe.events import Evaluated, Notice, StageFinished
from charpipe.runs import Run, list_runs
from charpipe.stages import Context, WouldRun
from charpipe_pipelines.options import SweepOptions
from charpipe_pipelines.sweep import check, recipe, show

TEXT = "to be, or not to be, that is the question: " * 40
SPACE = ["train.learning_rate=1e-3..1e-1:log", "architectures.rnn.hidden_size=4..8:4"]


@pytest.fixture
def swept(project: Path) -> Any:
    """Runs a sweep of an RNN on a small text, as `charpipe.sweep` does."""
    (project / "text.txt").write_text(TEXT)

    def run(context: Context, **options: Any) -> Any:
        asked = {"arch": "rnn", "space": SPACE, "trials": 3, "pruner": "none", **options}
        made = SweepOptions(corpus="text.txt", **asked)
        check(context, made)
        return recipe(context, made)

    return run


def open_one(open_context: Any, **settings: Any) -> Context:
    return open_context(architectures__rnn__hidden_size=None, **settings)


def test_a_sweep_ranks_its_trials_and_says_what_to_type(open_context, swept, heard) -> None:
    context = open_one(open_context)
    result = swept(context)
    assert [trial.state for trial in result.trials] == ["complete"] * 3
    losses = [trial.val_loss for trial in result.trials]
    assert losses == sorted(losses)
    for trial in result.trials:
        info = Run(context.workspace.runs / trial.run).info
        for key, value in trial.settings.items():
            assert info.settings[key] == value and info.origins[key] == "--space"
    folder = context.workspace.root / "sweeps" / result.sweep
    with (folder / "trials.csv").open(encoding="utf-8") as file:
        assert [int(one["number"]) for one in csv.DictReader(file)] == [one.number for one in result.trials]
    page = (folder / "sweep.html").read_text(encoding="utf-8")
    assert result.command in page.replace("&#39;", "'") and "<polyline" in page
    best = result.best
    assert f"--set train.learning_rate={best.settings['train.learning_rate']!r}" in result.command
    assert "--steps" not in result.command and "train.steps" not in result.command
    assert "--set train.batch_size=4" in result.command  # what this command set stays
    said = [line for line in show(result) if isinstance(line, str)]
    assert f"  {result.command}" in said

    heard.clear()
    assert swept(open_one(open_context)) == result  # nothing is trained again
    assert not [event for event in heard.of(StageFinished) if event.stage.startswith("trial")]
    assert len(list_runs(context.workspace.runs)) == 3

    more = swept(open_one(open_context), trials=4)  # the search goes on
    assert len(more.trials) == 4 and all(trial in more.trials for trial in result.trials)
    assert any("3 of 4 trials are done" in event.message for event in heard.of(Notice))


def test_a_stopped_sweep_goes_on_where_it_was(open_context, swept, heard) -> None:
    context = open_one(open_context, train__steps=60, train__evaluate_every=20)

    def stop_in_the_second(event: Any) -> None:
        heard(event)
        ended = [one for one in heard.of(StageFinished) if one.stage.startswith("trial")]
        if isinstance(event, Evaluated) and len(ended) == 1:
            context.stop.request(2)

    with pytest.raises(InterruptedRun) as caught:
        swept(replace(context, emit=stop_in_the_second))
    assert caught.value.exit_code == 130
    states = {run.status.state for run in list_runs(context.workspace.runs)}
    assert states == {"finished", "interrupted"}

    with pytest.raises(WouldRun, match="2 of 3 trials would run"):
        swept(open_one(open_context, dry_run=True, train__steps=60, train__evaluate_every=20))
    result = swept(open_one(open_context, train__steps=60, train__evaluate_every=20))
    assert len(result.trials) == len(list_runs(context.workspace.runs)) == 3
    assert {run.status.state for run in list_runs(context.workspace.runs)} == {"finished"}


def test_a_hopeless_trial_is_pruned_and_its_run_kept(open_context, swept, heard) -> None:
    context = open_one(open_context, train__steps=40, train__evaluate_every=10)
    space = ["train.learning_rate=0.01,0.011,0.012,0.013,0.014,1e-9"]
    result = swept(context, space=space, sampler="grid", pruner="median", trials=None)
    assert len(result.trials) == 6
    by_rate = {trial.settings["train.learning_rate"]: trial for trial in result.trials}
    hopeless = by_rate[1e-9]
    assert hopeless.state == "pruned" and result.best.state == "complete"
    assert 0 < hopeless.steps < 40 and hopeless.val_loss > result.best.val_loss
    assert Run(context.workspace.runs / hopeless.run).status.state == "interrupted"
    [told] = [event for event in heard.of(StageFinished) if event.stage == f"trial {hopeless.number}"]
    assert told.summary == f"pruned at step {hopeless.steps}"


def test_failed_trials_are_told_and_all_of_them_are_an_error(open_context, swept) -> None:
    space = ["architectures.rnn.tie_weights=true,false", "architectures.rnn.embedding_size=5,6"]
    result = swept(open_context(), space=space, sampler="grid", trials=None)
    states = {tuple(trial.settings.values()): trial.state for trial in result.trials}
    assert states == {
        (True, 5): "failed",
        (True, 6): "failed",
        (False, 5): "complete",
        (False, 6): "complete",
    }
    assert all("tie_weights" in trial.error for trial in result.trials if trial.state == "failed")
    tied = open_context(architectures__rnn__tie_weights=True)
    with pytest.raises(Incomplete, match=r"none of 2 trials could be trained: .*tie_weights"):
        swept(tied, space=["architectures.rnn.embedding_size=5,6"], sampler="grid", trials=None)


def test_the_python_call_is_the_same_sweep(project: Path) -> None:
    (project / "text.txt").write_text(TEXT)
    settings = {"train.steps": 5, "train.batch_size": 4, "train.window": 8, "tracking.enabled": False}
    space = {"train.clip": [0.5, 1], "architectures.rnn.hidden_size": "4..8:4"}
    found = charpipe.sweep("text.txt", space, "rnn", sampler="grid", settings=settings, progress=False)
    assert len(found.trials) == 4 and found.best is found.trials[0]
    assert repr(found).startswith(f"<Swept {found.name}, 4 trials: best ")
    assert "hidden_size" in found._repr_html_() and (found.folder / "sweep.html").is_file()
