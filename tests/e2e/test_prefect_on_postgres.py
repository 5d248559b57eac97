"""A team's Prefect server on PostgreSQL: killed runs, workers on other machines, other projects."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from charpipe_pipelines import heartbeats
from charpipe_pipelines.deployments.registration import connect
from postgres_server import PostgresServer, postgres
from prefect_server import _collect
from team_servers import (
    Machine,
    ServerProcess,
    ended,
    flow_runs,
    prefect_server,
    program,
    running,
    running_worker,
)
from waiting import LIMIT, until

__all__ = ["_collect", "postgres"]
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.e2e,
    # Prefect's own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
SILENCE, START = timedelta(seconds=45), timedelta(seconds=60)
"""Shorter than a team would have them: the automations exist already when charpipe would create them."""
PROJECT = """
[corpora.mine]
sources = ["texts/*.txt"]
[prefect]
api_url = "{url}/api"
[tracking]
enabled = false
[train]
steps = {steps}
batch_size = 2
window = 8
[sample]
length = 20
[architectures.rnn]
hidden_size = 8
[deployments.nightly]
pipeline = "train-and-sample"
corpus = "mine"
arch = "rnn"
"""


@pytest.fixture(scope="module")
def prefect(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    database = postgres.url("prefect", "postgresql+asyncpg")
    server = prefect_server(tmp_path_factory.mktemp("prefect"), database, lease_seconds=30)
    with running(server):
        with connect(f"{server.url}/api", retries=3) as client:
            heartbeats.create_automations(client, SILENCE, START)
        server.ask("/api/work_pools/", {"name": "team", "type": "process"})
        yield server


@pytest.fixture
def join(tmp_path: Path, prefect: ServerProcess) -> Iterator[Callable[..., Machine]]:
    machines: list[Machine] = []

    def joined(name: str, steps: int = 12) -> Machine:
        machine = Machine(tmp_path / name, PROJECT.format(url=prefect.url, steps=steps))
        machines.append(machine)
        (machine.folder / "texts").mkdir()
        (machine.folder / "texts" / "one.txt").write_text("abcabdabc " * 200)
        (machine.folder / "plugins").mkdir()
        (machine.folder / "plugins" / "of_the_project.py").write_text("# a plugin without hooks\n")
        return machine

    yield joined
    for machine in machines:
        machine.kill()


@contextmanager
def worker(machine: Machine, prefect: ServerProcess) -> Iterator[None]:
    """`prefect worker start` in another folder, with the machine's project and workspace in its environment."""
    with running_worker(
        machine.folder.parent / "worker",
        *(program("prefect"), "worker", "start", "--pool", "team", "--name", machine.folder.parent.name),
        PREFECT_API_URL=f"{prefect.url}/api",
        CHARPIPE_PROJECT=str(machine.folder),
        CHARPIPE_HOME=str(machine.home),
    ):
        yield


def start_run(prefect: ServerProcess, deployment: str) -> str:
    found: str = prefect.ask(f"/api/deployments/{deployment}/create_flow_run", {})["id"]
    return found


def deployed(prefect: ServerProcess) -> dict[str, Any]:
    found: dict[str, Any] = prefect.ask("/api/deployments/name/train-and-sample/nightly")
    return found


def test_a_worker_elsewhere_works_in_its_own_project_and_refuses_another(
    prefect: ServerProcess, join: Callable[..., Machine]
) -> None:
    first, second = join("A"), join("B")
    first.run("deploy", "nightly", "--pool", "team")
    carried = deployed(prefect)
    assert str(first.folder.parent) not in json.dumps(carried)
    assert carried["parameters"]["project"]["digest"]
    with worker(second, prefect):
        state = ended(prefect, start_run(prefect, carried["id"]))
        assert state["type"] == "COMPLETED", state
        [run] = (second.home / "runs").iterdir()
        assert "status.json" in {path.name for path in run.iterdir()}
        assert not (first.home / "runs").exists()

        (second.folder / "plugins" / "of_the_project.py").write_text("# another plugin without hooks\n")
        state = ended(prefect, start_run(prefect, carried["id"]))
        assert state["type"] == "FAILED"
        assert carried["parameters"]["project"]["digest"] in state["message"]
        assert "they differ in the plugin of_the_project" in state["message"]
        assert len(list((second.home / "runs").iterdir())) == 1


def test_a_run_whose_worker_died_before_it_began_frees_its_slot(
    prefect: ServerProcess, join: Callable[..., Machine]
) -> None:
    here = join("A")
    here.run("deploy", "nightly", "--pool", "team")
    deployment = deployed(prefect)["id"]
    lost = start_run(prefect, deployment)
    # what a worker does first; this one dies then
    prefect.ask(f"/api/flow_runs/{lost}/set_state", {"state": {"type": "PENDING", "name": "Pending"}})
    with worker(here, prefect):
        assert ended(prefect, start_run(prefect, deployment))["type"] == "COMPLETED"
    state = ended(prefect, lost)
    assert state["type"] == "CRASHED"
    assert "its worker may be gone" in state["message"]


def test_a_killed_run_does_not_stay_running(prefect: ServerProcess, join: Callable[..., Machine]) -> None:
    here = join("A", steps=10_000_000)
    process = here.start("run", "train-and-sample", "--corpus", "mine", "--arch", "rnn")
    where = {"flow_runs": {"tags": {"all_": [heartbeats.TAG]}, "state": {"type": {"any_": ["RUNNING"]}}}}

    def beating() -> str | None:
        """Our run, once it has the name of the training run, and its first heartbeat has arrived."""
        names = {path.name for path in here.home.glob("runs/*")}
        runs = [run for run in prefect.ask("/api/flow_runs/filter", where) if run["name"] in names]
        if not runs:
            return None
        resource = {"id": [f"prefect.flow-run.{runs[0]['id']}"]}
        filter_ = {"resource": resource, "event": {"name": ["prefect.flow-run.heartbeat"]}}
        found = prefect.ask("/api/events/filter", {"filter": filter_})
        return str(runs[0]["id"]) if found["events"] else None

    def seen() -> object:
        """What the server has: all runs with their states, and all events of the last minutes by name."""
        states = [(run["id"], run["state"]) for run in flow_runs(prefect)]
        events = prefect.ask("/api/events/filter", {"filter": {}})["events"]
        return (here.folder / "output").read_text()[:2000], states, [one["event"] for one in events]

    flow_run = until(beating, seen)
    process.kill()
    process.wait()
    state = ended(prefect, flow_run)
    assert (state["type"], state["name"]) == ("CRASHED", "Crashed")
    assert f"no heartbeat for {SILENCE.seconds} s" in state["message"]
    assert "answers, with version" in here.run("doctor").stdout
    assert os.environ.get("PREFECT_API_URL") is None  # nothing of this test leaks into the next


def test_lost_database_in_mid_training_costs_one_warning(
    prefect: ServerProcess, postgres: PostgresServer, join: Callable[..., Machine]
) -> None:
    here, earlier = join("A"), {one["id"] for one in flow_runs(prefect)}
    command = ("run", "train-and-sample", "--corpus", "mine", "--arch", "rnn", "--budget", "30s")
    process = here.start(*command)
    output = here.folder / "output"
    until(lambda: process.poll() is not None or list(here.home.glob("runs/*/metrics.jsonl")))
    assert process.poll() is None, output.read_text()
    postgres.stop()
    try:
        assert process.wait(LIMIT) == 0, output.read_text()
        told = output.read_text()
        assert told.count("nothing else changes") == 1, told
        assert "Traceback" not in told and "prefect." not in told, told
        [run] = (here.home / "runs").iterdir()
        assert json.loads((run / "status.json").read_text())["state"] == "finished"
        # a run that begins without the database
        again = here.run(*command)
        assert again.stdout.count("nothing else changes") == 1, again.stdout
    finally:
        postgres.start()
    lost = [one for one in flow_runs(prefect) if one["id"] not in earlier]
    until(lambda: "nothing else changes" not in here.run(*command).stdout)
    assert flow_runs(prefect)[0]["state"]["type"] == "COMPLETED"
    assert {one["state"]["type"] for one in lost} <= {"COMPLETED", "CRASHED", "RUNNING"}
