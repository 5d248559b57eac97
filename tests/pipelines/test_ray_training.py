"""One training by two workers on a Ray cluster: a head without CPUs and two nodes on this host, one of which dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import charpipe
from charpipe.events import Checkpointed, Event, Notice, Step, TrainingStarted
from charpipe.runs import Run
from charpipe.stages import Context
from charpipe.stages.recipes import run_directly
from charpipe_pipelines.options import TrainAndSampleOptions
from ray_cluster import MARKS, RayCluster, ray_cluster

pytestmark = MARKS
STEPS, INTERVAL = 2000, 100


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as made:
        yield made


def trained(context: Context, corpus: Path, **options: Any) -> Run:
    """The run of a training, by this process or by workers."""
    pipeline = context.registry.pipeline("train-and-sample")
    asked = TrainAndSampleOptions(corpus=str(corpus), arch="rnn", **options)
    result: Any = run_directly(pipeline, asked, context)
    return Run(context.workspace.runs / result.run)


def weights(run: Run) -> bytes:
    return (run.checkpoint("last") / "model.safetensors").read_bytes()


def test_lost_node_costs_one_interval_and_changes_no_bit(
    open_context: Callable[..., Context], cluster: RayCluster, project: Path, heard: Any
) -> None:
    corpus = project / "verses.txt"
    corpus.write_text("to be, or not to be, that is the question: " * 40)
    sizes = {"train__batch_size": 8, "train__window": 8, "train__shards": 4, "train__steps": STEPS}
    every = {"train__evaluate_every": STEPS, "train__checkpoint_every": INTERVAL}
    context = open_context(**sizes, **every, cluster__ray=cluster.address)
    kept: list[int] = []

    def kill_one(event: Event) -> None:
        heard(event)
        if isinstance(event, Checkpointed) and len(cluster.nodes) == 2:
            kept.append(event.step)
            cluster.kill(cluster.nodes[0])

    run = trained(replace(context, emit=kill_one), corpus, runner="ray", workers=2)
    started = [event.step for event in heard.of(TrainingStarted)]
    assert started[0] == 0
    assert len(started) == 2
    assert started[1] >= kept[0]  # from the checkpoint that was there when the node died, or a later one
    before = heard[: max(number for number, event in enumerate(heard) if isinstance(event, TrainingStarted))]
    assert max(event.step for event in before if isinstance(event, Step)) - started[1] <= INTERVAL
    told = [event.message for event in heard.of(Notice)]
    assert "train: 2 workers on the Ray cluster" in told
    assert any("was lost; it goes on from its last checkpoint" in message for message in told)
    assert run.status.state == "finished"
    assert len(list(context.workspace.runs.glob("*/run.json"))) == 1  # it was resumed

    found = weights(run)
    context.workspace.runs.rename(context.workspace.root / "runs-on-ray")
    assert found == weights(trained(open_context(**sizes, **every), corpus))


def test_python_call_trains_on_the_cluster(cluster: RayCluster, project: Path, heard: Any) -> None:
    (project / "verses.txt").write_text("to be, or not to be, that is the question: " * 40)
    settings: dict[str, Any] = {
        "train.batch_size": 8,
        "train.window": 8,
        "train.shards": 4,
        "train.steps": 40,
    }
    settings |= {"tracking.enabled": False}
    there = settings | {"cluster.ray": cluster.address}
    found = charpipe.train("verses.txt", "rnn", settings=there, runner="ray", workers=2, listen=heard)
    assert "train: 2 workers on the Ray cluster" in [event.message for event in heard.of(Notice)]
    on_cluster = weights(Run(found.folder))
    found.folder.parent.rename(found.folder.parent.with_name("runs-on-ray"))
    assert on_cluster == weights(Run(charpipe.train("verses.txt", "rnn", settings=settings).folder))
