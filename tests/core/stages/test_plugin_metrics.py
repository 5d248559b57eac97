"""Metrics of plugins through the stages: what is computed again when one changes, conflicts, count-based models."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import charpipe
from charpipe.cli import main
from charpipe.runs import Run, find_run
from charpipe.runs.recorder import read_metrics

SETTINGS = {
    "tracking.enabled": False,
    "train.steps": 10,
    "architectures.rnn.hidden_size": 6,
    "sample.length": 5,
}
HEADER = "from charpipe.plugin import Metric, hookimpl\n@hookimpl\ndef charpipe_metrics():\n"

Add = Callable[[str, str], None]


@pytest.fixture
def add_plugin(project: Path) -> Iterator[Add]:
    (project / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 90)
    (project / "plugins").mkdir()
    known = set(sys.modules)

    def forget() -> None:
        for name in set(sys.modules) - known:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(project)):
                del sys.modules[name]

    def add(name: str, text: str) -> None:
        forget()
        (project / "plugins" / f"{name}.py").write_text(HEADER + text)

    yield add
    forget()


def train(arch: str = "rnn", **changes: Any) -> Run:
    trained = charpipe.train("text.txt", arch=arch, settings={**SETTINGS, **changes}, progress=False)
    return find_run(Path(".charpipe/runs"), trained.name)


def test_changed_evaluation_metric_evaluates_again_and_trains_nothing(add_plugin: Add) -> None:
    text = "    return [Metric('mine/{n}', '', lambda facts: {n}, 'evaluation')]\n"
    add_plugin("one", text.format(n=1))
    run = train()
    add_plugin("one", text.format(n=2))
    again = train()
    assert again.name == run.name
    assert again.status.metrics["mine/2"] == 2.0
    finals = [line for line in read_metrics(run.metrics_file) if "test/loss" in line]
    assert ["mine/1" in line for line in finals] == [True, False]
    assert train().name == run.name
    assert [line for line in read_metrics(run.metrics_file) if "test/loss" in line] == finals


def test_changed_update_metric_runs_nothing_again(add_plugin: Add) -> None:
    add_plugin("one", "    return [Metric('mine/1', '', lambda facts: 1)]\n")
    run = train()
    lines = list(read_metrics(run.metrics_file))
    add_plugin("one", "    return [Metric('mine/2', '', lambda facts: 2)]\n")
    assert train().name == run.name
    assert list(read_metrics(run.metrics_file)) == lines


def test_metric_provided_twice_is_left_out_and_told(
    add_plugin: Add, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("first", "second"):
        add_plugin(name, "    return [Metric('mine/same', '', lambda facts: 1)]\n")
    words = ["run", "train-and-sample", "--corpus", "text.txt", "--arch", "rnn"]
    chosen = [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    assert main([*words, *chosen]) == 0
    assert capfd.readouterr().out.count("metric 'mine/same' is provided by first (") == 1
    run = find_run(Path(".charpipe/runs"), "last")
    assert not any("mine/same" in line for line in read_metrics(run.metrics_file))


def test_count_based_model_has_evaluation_metrics(add_plugin: Add) -> None:
    add_plugin(
        "one",
        "    size = lambda facts: sum(t.numel() for t in facts.weights.values())\n"
        "    return [Metric('mine/size', '', size, 'evaluation')]\n",
    )
    run = train("ngram")
    (during, final) = [line for line in read_metrics(run.metrics_file) if "val/perplexity" in line]
    for line in (during, final):
        assert line["val/perplexity"] == math.exp(line["val/loss"])
        assert line["mine/size"] > 0
    assert during["mine/size"] == final["mine/size"]
