"""Fixtures: one real Prefect server for each module that tests pipelines, since starting one takes seconds."""

from __future__ import annotations

import gc
import json
import sqlite3
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from charpipe.config import load_config
from charpipe.plugins.registry import Registry
from charpipe.stages import Context
from charpipe.workspace import Workspace
from charpipe_pipelines.server import managed_server
from waiting import until

ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
"""The types of state that a task run ends in."""


@pytest.fixture(autouse=True)
def _collect() -> Iterator[None]:
    """Prefect leaves sockets to the garbage collector: let it find them here, where that is no error.

    It looks only at what the test has made, not at all objects of the libraries and of the other tests."""
    gc.freeze()
    yield
    gc.collect()


class Server:
    """A workspace whose Prefect server is up, and questions to it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.managed = managed_server(workspace)

    def ask(self, path: str, question: Any = None) -> Any:
        """What the API says: a POST where there is a question, else a GET."""
        data = None if question is None else json.dumps(question).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.managed.start()}/api{path}", data, headers)
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def flow_runs(self) -> list[dict[str, Any]]:
        """All flow runs, the newest first."""
        return sorted(self.ask("/flow_runs/filter", {}), key=lambda run: str(run["created"]), reverse=True)

    def states(self, flow_run: dict[str, Any], tasks: Collection[str]) -> dict[str, str]:
        """The state's name of each task run of a flow run, once those called `tasks` are there and have ended.

        Prefect sends them as events, which the server may store after the flow run itself has ended."""
        where = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
        known: dict[str, dict[str, Any]] = {}

        def ended() -> bool:
            known.clear()  # a task run has another name until it begins
            known.update({task["name"]: task for task in self.ask("/task_runs/filter", where)})
            return all(name in known and known[name]["state_type"] in ENDED for name in tasks)

        until(ended, lambda: {name: task["state_name"] for name, task in known.items()})
        return {name: task["state_name"] for name, task in known.items()}

    def mark_as_scheduled(self, flow_runs: list[Any]) -> None:
        """Let flow runs look as if a schedule had made them; the API does that for no client."""
        with (
            closing(sqlite3.connect(self.workspace.prefect / "prefect.db", timeout=30)) as database,
            database,
        ):
            for id_ in flow_runs:
                database.execute("update flow_run set auto_scheduled = 1 where id = ?", (str(id_),))

    def artifacts(self, flow_run: dict[str, Any]) -> dict[str, Any]:
        """The artifacts of a flow run by key."""
        where = {"artifacts": {"flow_run_id": {"any_": [flow_run["id"]]}}}
        return {item["key"]: item for item in self.ask("/artifacts/filter", where)}


@pytest.fixture(scope="module")
def shared_server(
    tmp_path_factory: pytest.TempPathFactory, copy_prefect: Callable[[Workspace], None]
) -> Iterator[Server]:
    server = Server(Workspace(tmp_path_factory.mktemp("pipelines") / "mein Prüfstand"))
    copy_prefect(server.workspace)
    yield server
    server.managed.stop()


@pytest.fixture
def server(shared_server: Server) -> Server:
    shared_server.managed.start()
    return shared_server


@pytest.fixture
def context(server: Server, project: Path, heard: Any) -> Callable[..., Context]:
    """Opens sessions on the server's workspace; keyword arguments are settings with `__` for the dot."""

    def open_one(**settings: Any) -> Context:
        given = {"tracking.enabled": False, "train.steps": 12, "sample.length": 40}
        given |= {"architectures.rnn.hidden_size": 8}
        given |= {key.replace("__", "."): value for key, value in settings.items()}
        return Context(server.workspace, load_config(settings=given), Registry(), emit=heard)

    return open_one
