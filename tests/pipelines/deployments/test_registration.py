"""What a real server knows of a deployment after it was registered: schedule, parameters, pool, pauses."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from charpipe.errors import UsageError
from charpipe.plugin import Pipeline
from charpipe.plugins.registry import Registry
from charpipe.workspace import Workspace
from charpipe_pipelines import heartbeats
from charpipe_pipelines.deployments.catalogue import Deployment
from charpipe_pipelines.deployments.registration import (
    check_pool,
    connect,
    find,
    pause_leftovers,
    register,
    register_with_pool,
)
from charpipe_pipelines.deployments.settings import DeploymentConfig, Schedule
from charpipe_pipelines.deployments.status import status_of
from charpipe_pipelines.server import become_client

pytestmark = [
    pytest.mark.e2e,
    # Prefect's, FastAPI's and websockets' own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
TOY = Pipeline("toy", "A toy.", "none:none", flow="toy_flows.toy")


@pytest.fixture
def client(server: Any) -> Iterator[Any]:
    become_client(server.workspace)
    with connect(f"{server.managed.start()}/api", retries=3) as made:
        yield made
    gc.collect()


def nightly(folder: Path, **config: Any) -> Deployment:
    schedule = Schedule(cron="0 3 * * *", timezone="Europe/Berlin")
    made = DeploymentConfig(pipeline="toy", schedule=schedule, **config)
    return Deployment("nightly", made, TOY, {"seconds": 1}, {"train.steps": 5}, folder)


def test_served_here(server: Any, client: Any, project: Path) -> None:
    workspace = Workspace(project / ".charpipe")
    deployment = nightly(project)
    assert status_of(client, deployment)["state"] == "not registered"
    id_ = register(client, deployment, workspace)
    known = server.ask(f"/deployments/{id_}")
    assert known["parameters"] == {
        "options": {"seconds": 1},
        "settings": {"train.steps": 5},
        "workspace": str(workspace.root),
    }
    assert known["entrypoint"] == "toy_flows.toy"
    assert known["schedules"][0]["schedule"]["timezone"] == "Europe/Berlin"
    assert status_of(client, deployment)["state"] == "active"

    client.pause_deployment(id_)
    assert register(client, deployment, workspace) == id_
    assert status_of(client, deployment)["state"] == "paused"  # who paused it meant it
    client.resume_deployment(id_)
    other = replace(deployment, name="weekly")
    left = register(client, other, workspace)
    assert pause_leftovers(client, {id_}, workspace) == ["weekly"]
    assert pause_leftovers(client, {id_}, workspace) == []
    for one in (id_, left):
        client.delete_deployment(one)


def test_a_paused_deployment_has_no_next_time(server: Any, client: Any, project: Path) -> None:
    from prefect.states import Scheduled

    workspace = Workspace(project / ".charpipe")
    deployment = nightly(project)
    id_ = register(client, deployment, workspace)
    left = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(minutes=1))
    client.create_flow_run_from_deployment(id_, state=left)
    assert status_of(client, deployment)["next"]
    client.pause_deployment(id_)
    status = status_of(client, deployment)
    assert (status["state"], status["next"]) == ("paused", None)
    client.resume_deployment(id_)
    assert status_of(client, deployment)["next"]

    paused = nightly(project, paused=True)
    assert register(client, paused, workspace) == id_
    assert (status_of(client, paused)["state"], status_of(client, paused)["next"]) == ("paused", None)
    client.delete_deployment(id_)


def test_with_a_pool_of_the_teams(server: Any, client: Any, project: Path) -> None:
    workspace = Workspace(project / ".charpipe")
    command = f"PREFECT_API_URL={server.managed.start()}/api prefect"
    with pytest.raises(UsageError, match=f"{command} work-pool create team --type process"):
        check_pool(client, "team")
    server.ask("/work_pools/", {"name": "team", "type": "process"})
    check_pool(client, "team")
    deployment = nightly(project, overlap="skip")
    variables = {"env": {"OMP_NUM_THREADS": "2"}}
    id_ = register_with_pool(client, deployment, Registry(), "team", variables)
    known = server.ask(f"/deployments/{id_}")
    assert known["work_pool_name"] == "team"
    assert known["job_variables"] == {
        "env": {"OMP_NUM_THREADS": "2", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    }
    assert known["parameters"]["workspace"] is None  # the flow is a plugin's own
    assert str(project) not in json.dumps(known, ensure_ascii=False)
    assert heartbeats.TAG in known["tags"]
    assert known["global_concurrency_limit"]["limit"] == 1
    assert known["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"

    with pytest.raises(UsageError, match=f"{command} deployment delete toy/nightly"):
        register(client, deployment, workspace)  # its workers carry it out: not served as well
    with pytest.raises(UsageError, match=r"deployments\.nightly\.overlap.*cannot replace"):
        register_with_pool(client, nightly(project, overlap="replace"), Registry(), "team")
    assert find(client, deployment).id == id_
    client.delete_deployment(id_)
