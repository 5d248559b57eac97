"""Every pipeline that promises time keeps it: each of its trainings follows the revised plan."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from charpipe.errors import Incomplete
from charpipe.runs import list_runs
from charpipe.runs.recorder import read_metrics
from charpipe_2015 import pipeline as reproduce_2015
from charpipe_2015.options import ReproduceOptions
from charpipe_pipelines import compare_architectures, retrain, speedrun, train_and_sample
from charpipe_pipelines.options import CompareOptions, RetrainOptions, SpeedrunOptions, TrainAndSampleOptions
from simulated_clock import simulate

BUDGET = 10.0
SHARING = 6
"""Models of the reproduction among which its budget is divided: three of each text."""
TEXT = "Well, Prince, so Genoa and Lucca are now just family estates of the Buonapartes.\n" * 60
PIPELINES: dict[str, tuple[Any, Callable[[str], Any], int]] = {
    "train-and-sample": (train_and_sample.recipe, lambda c: TrainAndSampleOptions(corpus=c, arch="rnn"), 1),
    "retrain": (retrain.recipe, lambda c: RetrainOptions(corpus=c, arch="rnn"), 1),
    "compare-architectures": (
        compare_architectures.recipe,
        lambda c: CompareOptions(corpus=c, arch="rnn,gru", sizes="8", match="time"),
        2,
    ),
    "speedrun": (
        speedrun.recipe,
        lambda c: SpeedrunOptions(corpus=c, arch="rnn", presets="fast,min-char-rnn", seeds=1),
        2,
    ),
    "reproduce-2015": (
        reproduce_2015.recipe,
        lambda c: ReproduceOptions(
            experiments="paper", sizes="8", layers="1", corpora=f"linux_kernel={c},war_and_peace={c}"
        ),
        3,
    ),
}


def busy_now_and_then(now: float) -> float:
    return 0.05 if int(now / 4) % 2 == 0 else 0.15


@pytest.mark.parametrize("name", PIPELINES)
def test_each_training_ends_when_its_budget_does(
    name: str, project: Path, open_context, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "mine.txt").write_text(TEXT, encoding="utf-8")
    recipe, options, count = PIPELINES[name]
    whole = BUDGET * SHARING if name == "reproduce-2015" else BUDGET
    changes = {"train.batch_size": 4, "train.window": 8}
    context = open_context(train__steps=None, train__budget=f"{whole:g}s", train__max_epochs=1e5, **changes)
    simulate(monkeypatch, busy_now_and_then)
    with suppress(Incomplete):  # the text is not War and Peace, whose digest is known
        recipe(context, options("mine.txt"))
    runs = [run for run in list_runs(context.workspace.runs) if run.info.is_trained_by_steps]
    assert len(runs) == count
    for run in runs:
        assert run.status.seconds == pytest.approx(BUDGET, rel=0.1)
        assert any("plan" in line for line in read_metrics(run.metrics_file))
