"""Runs of a toy flow, carried out for a real server: late, overlapping, killed, cancelled, retried, adopted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from charpipe.plugin import Pipeline
from charpipe.workspace import Workspace
from charpipe_pipelines import flow_processes, orphans
from charpipe_pipelines.deployments import dispatcher, registration
from charpipe_pipelines.deployments.catalogue import Deployment
from charpipe_pipelines.deployments.dispatcher import Dispatcher
from charpipe_pipelines.deployments.settings import DeploymentConfig
from charpipe_pipelines.server import become_client
from waiting import until

pytestmark = [
    pytest.mark.e2e,
    # Prefect's, FastAPI's and websockets' own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
HERE = Path(__file__).parent


class Served:
    """One deployment of the toy flow, served as `charpipe serve` does, a step at a time."""

    def __init__(self, server: Any, folder: Path, client: Any, name: str) -> None:
        self.server, self.client, self.name = server, client, name
        self.folder = folder
        self.heard: list[dict[str, Any]] = []
        self.started: list[flow_processes.FlowProcess] = []
        self.dispatcher = self.fresh()
        self.id: Any = None

    def fresh(self, limit: int = 5) -> Dispatcher:
        environ = os.environ | {"PYTHONPATH": str(HERE)}
        workspace = Workspace(self.folder / "workspace")
        return Dispatcher(workspace, {"toy": "toy_flows.toy"}, environ, limit, self.tell)

    def tell(self, event: str, **facts: Any) -> None:
        if event == "started":
            self.started += self.dispatcher.processes.values()
        self.heard.append({"event": event, **facts})

    def deploy(self, options: dict[str, Any] | None = None, **config: Any) -> None:
        pipeline = Pipeline("toy", "A toy.", "none:none", flow="toy_flows.toy")
        made = DeploymentConfig(pipeline="toy", **config)
        self.deployment = Deployment(self.name, made, pipeline, options or {}, {}, self.folder)
        self.id = registration.register(self.client, self.deployment, Workspace(self.folder))
        self.adopt()

    def adopt(self) -> None:
        self.dispatcher.adopt(self.client, {self.id: self.deployment}, f"{self.server.managed.start()}/api")

    def ask_for(self, *ago: float, by_schedule: bool = False) -> list[Any]:
        from prefect.states import Scheduled

        moments = [datetime.now(UTC) - timedelta(seconds=one) for one in ago]
        made = [
            self.client.create_flow_run_from_deployment(self.id, state=Scheduled(scheduled_time=moment))
            for moment in moments
        ]
        if by_schedule:
            self.server.mark_as_scheduled([run.id for run in made])
        return [run.id for run in made]

    def until(self, done: Callable[[], bool]) -> None:
        """Go on dispatching until something is true."""
        until(done, lambda: self.heard, lambda: self.dispatcher.tick(self.client))

    def state(self, id_: Any) -> Any:
        return self.client.read_flow_run(id_).state

    def ended(self, count: int) -> list[dict[str, Any]]:
        self.until(lambda: len([one for one in self.heard if one["event"] == "ended"]) >= count)
        return [one for one in self.heard if one["event"] == "ended"]

    def begin(self, times: int = 1) -> None:
        """Go on until the flow itself has begun so often."""
        self.until(lambda: self.notes().count("began") >= times)

    def release(self, starts: int) -> None:
        """Let the first so many starts of the flow end."""
        new = self.folder / "released.new"
        new.write_text(str(starts))
        new.replace(self.folder / "released")

    def notes(self) -> str:
        path = self.folder / "notes.txt"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def served(
    server: Any, project: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Served]:
    become_client(server.workspace)
    monkeypatch.setattr(dispatcher, "RETRY_SECONDS", 0.0)
    with registration.connect(f"{server.managed.start()}/api", retries=3) as client:
        made = Served(server, project, client, request.node.name.replace("/", "")[:60])
        yield made
        for child in made.started:
            child.kill()
            if child.process is not None:
                child.process.wait()
        if made.id is not None:
            client.delete_deployment(made.id)


def test_missed_runs_are_caught_up_with_by_one(served: Served) -> None:
    served.deploy()
    ids = served.ask_for(*[3600.0 * hours for hours in range(1, 13)], by_schedule=True)
    [ended] = served.ended(1)
    assert ended["state"] == "Completed"
    assert ended["id"] == str(ids[0])
    assert {served.state(id_).name for id_ in ids[1:]} == {"Skipped"}
    assert served.notes() == "began\n"


def test_a_paused_deployment_runs_only_what_a_person_asks_for(served: Served) -> None:
    served.deploy()
    served.client.pause_deployment(served.id)
    [left] = served.ask_for(1, by_schedule=True)
    [asked] = served.ask_for(0)
    [ended] = served.ended(1)
    assert (ended["id"], ended["state"]) == (str(asked), "Completed")
    assert (served.state(left).name, served.state(left).message) == ("Skipped", "its deployment is paused")
    assert served.notes() == "began\n"


def test_a_killed_run_goes_on_by_itself_but_not_for_ever(served: Served) -> None:
    served.deploy({"die": 5}, retries=1)
    [id_] = served.ask_for(0)
    first, second = served.ended(2)
    assert "SIGKILL" in first["message"]
    assert "resumes" in first["next"]
    assert "next" not in second
    assert served.state(id_).name == "Crashed"
    assert served.notes() == "began\n" * 2


def test_cancel_in_the_page_lets_it_save(served: Served) -> None:
    served.deploy({"waits": True})
    [id_] = served.ask_for(0)
    served.begin()
    served.server.ask(f"/flow_runs/{id_}/set_state", {"state": {"type": "CANCELLING"}})
    [ended] = served.ended(1)
    assert (ended["state"], served.state(id_).name) == ("Cancelled", "Cancelled")
    assert "saved" in served.notes()
    assert "next" not in ended


def test_retry_in_the_page(served: Served) -> None:
    served.deploy({"fail": True})
    [id_] = served.ask_for(0)
    [ended] = served.ended(1)
    assert ended["state"] == "Failed"
    retry = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the page"}
    served.server.ask(f"/flow_runs/{id_}/set_state", {"state": retry, "force": True})
    served.ended(2)
    assert served.notes() == "began\n" * 2


def test_a_second_run_waits_is_skipped_or_replaces(served: Served) -> None:
    served.deploy({"waits": True})
    [first] = served.ask_for(0)
    served.begin()
    [second] = served.ask_for(0)
    for _ in range(3):
        served.dispatcher.tick(served.client)
    assert served.state(second).is_scheduled()

    served.deploy({"waits": True}, overlap="skip")
    served.dispatcher.tick(served.client)
    assert served.state(second).name == "Skipped"
    assert served.state(first).is_running()

    served.deploy({"waits": True}, overlap="replace")
    served.ask_for(0)
    served.begin(2)
    assert served.state(first).name == "Cancelled"
    assert served.notes().count("saved") == 1


def test_stopping_saves_and_the_next_start_goes_on(served: Served) -> None:
    served.deploy({"waits": True})
    [id_] = served.ask_for(0)
    served.begin()
    served.dispatcher.stop_all()
    until(lambda: served.dispatcher.reap(served.client))
    assert served.notes() == "began\nsaved\n"
    assert served.state(id_).name == "AwaitingRetry"
    served.dispatcher = served.fresh()
    served.adopt()
    served.release(2)
    assert served.ended(2)[-1]["state"] == "Completed"
    assert served.notes() == "began\nsaved\nbegan\n"


def test_what_outlived_a_killed_server_of_runs_is_adopted_or_told_as_crashed(served: Served) -> None:
    served.deploy({"waits": True}, retries=0)
    lives, dies = served.ask_for(0, 1)
    served.dispatcher = served.fresh()
    served.adopt()
    served.begin()
    [running] = list(served.dispatcher.processes)
    assert running == dies  # the earlier of the two: the other waits for it
    before = served.dispatcher.processes[running]
    served.dispatcher = served.fresh()  # as if the process had been killed: it knows nothing
    served.adopt()
    assert served.dispatcher.processes[running].pid == before.pid
    served.release(1)
    assert served.ended(1)[0]["state"] == "Completed"
    served.begin(2)
    child = served.dispatcher.processes[lives]
    os.kill(child.pid, signal.SIGKILL)
    assert child.process is not None
    child.process.wait()
    served.dispatcher = served.fresh()
    served.adopt()
    assert served.state(lives).name == "Crashed"


def test_a_run_begun_by_hand_can_be_retried_and_its_death_is_told(served: Served) -> None:
    from prefect.client.schemas.objects import Flow
    from prefect.states import Running

    served.deploy()
    flow_id = served.client.create_flow_from_name("toy")
    assert isinstance(served.client.read_flow(flow_id), Flow)
    parameters = {"options": {}, "settings": {}, "workspace": str(served.folder)}
    answer = served.server.ask(
        "/flow_runs/", {"flow_id": str(flow_id), "parameters": parameters, "state": {"type": "PENDING"}}
    )
    id_ = answer["id"]
    served.client.set_flow_run_state(id_, Running())
    served.client.update_flow_run(id_, infrastructure_pid=orphans.whose())
    orphans.mark_crashed(served.client, set(), served.tell)
    assert served.state(id_).is_running()  # its process, this one, lives
    host, pid, _, boot = orphans.whose().split(":", 3)
    served.client.update_flow_run(
        id_, infrastructure_pid=f"{host}:{pid}:1:{boot}"
    )  # its number was used again
    served.until(lambda: served.state(id_).name == "Crashed")
    retry = {"type": "SCHEDULED", "name": "AwaitingRetry"}
    served.server.ask(f"/flow_runs/{id_}/set_state", {"state": retry, "force": True})
    served.until(lambda: served.state(id_).name == "Completed")


def test_only_so_many_at_a_time(served: Served) -> None:
    served.dispatcher = served.fresh(limit=1)
    served.deploy({"waits": True})
    served.ask_for(0)
    served.begin()
    assert flow_processes.find(next(iter(served.dispatcher.processes))) is not None
    assert len(served.dispatcher.processes) == 1
