"""The head of a Ray cluster is killed while the command trains there; the same command goes on on a new cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from charpipe.runs import Run
from charpipe.workspace import Workspace
from ray_cluster import RAY, RayCluster
from team_servers import Machine
from waiting import LIMIT, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.cluster,
    pytest.mark.skipif(not RAY.is_file(), reason="Ray is not installed: pip install 'charpipe[cluster]'"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # processes of the cluster that were killed
    pytest.mark.timeout(1800),  # two clusters, one after the other
]
PROJECT = """
[corpora.mine]
sources = ["text:{text}"]
[cluster]
ray = "{ray}"
[prefect]
{prefect}
[tracking]
enabled = false
[train]
steps = 2500
batch_size = 4
window = 8
shards = 2
checkpoint_every = 100
evaluate_every = 2500
[sample]
length = 20
"""
COMMANDS = {
    "trials": "run compare-architectures --corpus mine --arch rnn,gru --sizes 8 --match units --runner ray",
    "training": "run train-and-sample --corpus mine --arch rnn --set architectures.rnn.hidden_size=8 --runner ray "
    "--workers 2",
}
RUNS = {"trials": 2, "training": 1}
PREFECT = {
    "trials": "",
    "training": 'api_url = "http://127.0.0.1:9/api" # none answers there: it is not needed',
}


def runs(machine: Machine) -> list[Run]:
    folder = Workspace(machine.home).runs
    return [Run(path) for path in folder.iterdir()] if folder.is_dir() else []


def checkpointed(machine: Machine) -> list[int]:
    """The steps of the runs' last checkpoints."""
    return [run.status.last["step"] for run in runs(machine) if run.status.last]


def started(lines: str) -> list[int]:
    """The steps at which trainings start, from what `--json` prints."""
    events = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    return [event["step"] for event in events if event.get("event") == "training_started"]


@pytest.mark.parametrize("kind", ["trials", "training"])
def test_same_command_on_a_new_cluster_resumes(
    kind: str, tmp_path: Path, copy_prefect: Callable[[Workspace], None]
) -> None:
    words = COMMANDS[kind].split()
    cluster = RayCluster()
    try:
        project = PROJECT.format(text="abcabdabc " * 200, ray=cluster.address, prefect=PREFECT[kind])
        here = Machine(tmp_path, project)
        copy_prefect(Workspace(here.home))
        output = here.folder / "output"
        process = here.start(*words)
        until(lambda: process.poll() is not None or len(checkpointed(here)) == RUNS[kind], output.read_text)
        assert process.poll() is None, output.read_text()
        cluster.kill(cluster.head)
        assert process.wait(LIMIT) == 1
        told = output.read_text()
        assert "of the Ray cluster" in told or "the Ray cluster was lost" in told, told
        assert "when the cluster answers again, type the same command again" in told
        assert "Traceback" not in told, told
        # the nodes are there yet: they save and stop by themselves
        until(lambda: {run.status.state for run in runs(here)} == {"interrupted"})
        kept = checkpointed(here)
        assert len(kept) == RUNS[kind] and max(kept) < 2500
    finally:
        cluster.stop()
    cluster = RayCluster(port=cluster.port)
    try:
        assert sorted(started(here.run(*words, "--json").stdout)) == sorted(kept)
        assert [run.status.state for run in runs(here)] == ["finished"] * RUNS[kind]
    finally:
        cluster.stop()
        here.run("down")
