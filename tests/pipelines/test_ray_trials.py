"""Trials on a Ray cluster: a head without CPUs and two nodes on this host."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from charpipe.comparison import Row
from charpipe.errors import CharpipeError, UsageError
from charpipe.events import Checkpointed, Evaluated, Event, Notice, OfTrial, TrainingStarted
from charpipe.runs import Run
from charpipe.stages import Context
from charpipe.store.digest import digest_of_file
from charpipe_pipelines.cluster.connection import connect
from charpipe_pipelines.options import CompareOptions
from charpipe_pipelines.orchestration import run
from ray_cluster import MARKS, RayCluster, free_port, ray_cluster

pytestmark = MARKS
Open = Callable[..., Context]
NAMES = {"rnn 1x8 seed 1", "gru 1x8 seed 1"}
WORKER = "charpipe.comparison.worker"
STEPS = 1500


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """The cluster, for this module; this process leaves it at the end."""
    with ray_cluster() as made:
        yield made


@pytest.fixture
def open_one(context: Open, cluster: RayCluster, project: Path) -> Open:
    """Opens contexts whose trials run on the cluster."""
    Path("verses.txt").write_text("to be, or not to be, that is the question: " * 40)
    tiny = {"train__batch_size": 4, "train__window": 8, "train__steps": STEPS, "train__evaluate_every": 100}
    return lambda **settings: context(cluster__ray=cluster.address, **tiny, **settings)


def compared(context: Context, runner: str) -> list[Row]:
    """The rows of a comparison of two networks."""
    options = CompareOptions(
        corpus=str(Path("verses.txt").resolve()), arch="rnn,gru", sizes="8", match="units", runner=runner
    )
    result: Any = run(context.registry.pipeline("compare-architectures"), options, context)
    return list(result.rows)


def weights(context: Context, rows: list[Row]) -> list[str]:
    """A hash of the weights that each trial ended with."""
    runs = [Run(context.workspace.runs / row.run) for row in rows]
    return [digest_of_file(run.checkpoint("last") / "model.safetensors") for run in runs]


def at_work(nodes: list[psutil.Process]) -> list[psutil.Process]:
    """The nodes on which a trial trains now."""

    def trains(node: psutil.Process) -> bool:
        return any(WORKER in process.cmdline() for process in node.children(recursive=True))

    return [node for node in nodes if trains(node)]


def test_a_node_that_is_lost_costs_no_trial(
    open_one: Open, cluster: RayCluster, server: Any, heard: Any
) -> None:
    """Two trials on two nodes; one node is killed once both train, and its trial goes on on the other."""
    busy: list[int] = []
    trained: set[str] = set()
    lock = threading.Lock()  # each trial's events come from a thread of their own

    def kill_one(event: Event) -> None:
        heard(event)
        if isinstance(event, OfTrial) and isinstance(event.event, Evaluated):
            with lock:
                trained.add(event.trial)
                if trained == NAMES and not busy:
                    working = at_work(cluster.nodes)
                    busy.append(len(working))
                    cluster.kill(working[0])

    context = open_one()
    rows = compared(replace(context, emit=kill_one), "ray")
    assert busy == [2] and [row.error for row in rows] == ["", ""]
    assert [row.steps for row in rows] == [STEPS, STEPS]
    assert any("was lost; it goes on from its last checkpoint" in one.message for one in heard.of(Notice))
    assert len(list(context.workspace.runs.glob("*/run.json"))) == 2  # it was resumed

    flow_run = server.flow_runs()[0]
    states = server.states(flow_run, NAMES)
    assert flow_run["state_name"] == "Completed"
    assert {name: states[name] for name in NAMES} == dict.fromkeys(NAMES, "Completed")
    again = compared(open_one(), "ray")  # found here, without the cluster's nodes
    assert again == rows

    found = weights(context, rows)
    context.workspace.runs.rename(context.workspace.root / "runs-on-ray")
    assert found == weights(context, compared(open_one(), "local"))


def test_nodes_with_workspaces_of_their_own_share_a_store(
    context: Open, project: Path, tmp_path: Path, server: Any, heard: Any
) -> None:
    """As above, with a workspace for each node: what goes from one to the other goes through the store."""
    import ray

    ray.shutdown()
    homes = [tmp_path / "north", tmp_path / "south"]
    with ray_cluster(homes) as own:
        Path("verses.txt").write_text("to be, or not to be, that is the question: " * 40)
        shared = {"store__url": (tmp_path / "store").as_uri(), "store__lease": "3s"}
        sizes = {"train__batch_size": 4, "train__window": 8, "train__steps": STEPS}
        every = {"train__evaluate_every": 100, "train__checkpoint_every": 100}
        here = context(cluster__ray=own.address, **shared, **sizes, **every)
        kept: dict[str, int] = {}
        continued: list[int] = []
        lock = threading.Lock()

        def kill_one(event: Event) -> None:
            heard(event)
            if isinstance(event, OfTrial):
                with lock:
                    if isinstance(event.event, TrainingStarted) and len(own.nodes) == 1:
                        continued.append(event.event.step)
                    if isinstance(event.event, Checkpointed) and len(own.nodes) == 2:
                        kept[event.trial] = event.event.step
                        if kept.keys() == NAMES and min(kept.values()) >= 300:
                            own.kill(at_work(own.nodes)[0])

        rows = compared(replace(here, emit=kill_one), "ray")
        assert [row.error for row in rows] == ["", ""] and [row.steps for row in rows] == [STEPS, STEPS]
        # of the trial that went on a checkpoint was pushed, so at most two intervals before the last that was told
        assert continued and continued[0] >= min(kept.values()) - 200
        places = [[path.parent.name for path in (home / "runs").glob("*/run.json")] for home in homes]
        assert all(places) and sorted({run for place in places for run in place}) == sorted(
            row.run for row in rows
        )
        copies = [here.workspace.runs / row.run for row in rows]
        assert not [file for copy in copies for file in copy.glob("checkpoints/*/model.safetensors")]
        found = [here.runs.find(row.run, checkpoint="last") for row in rows]
        hashes = [digest_of_file(run.checkpoint("last") / "model.safetensors") for run in found]
    plain = context(**sizes, **every)
    here.workspace.runs.rename(here.workspace.root / "runs-through-the-store")
    assert hashes == weights(plain, compared(plain, "local"))


def test_a_training_that_fits_on_no_node_is_refused(open_one: Open) -> None:
    with pytest.raises(UsageError, match=r"no node of the Ray cluster has room .* has 1 CPUs and 0 GPUs"):
        compared(open_one(cluster__cpus_per_training=4), "ray")


def test_a_cluster_that_does_not_answer_is_one_sentence(open_context: Any) -> None:
    import ray

    ray.shutdown()
    context = open_context(cluster__ray=f"127.0.0.1:{free_port()}")
    with pytest.raises(CharpipeError, match=r"does not answer .*; nothing was started"):
        connect(context.config.cluster)
