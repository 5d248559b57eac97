"""Runs tracked to an MLflow server on PostgreSQL whose artifacts are in object storage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from object_storage_server import BUCKET, CREDENTIALS, ObjectStorageServer
from postgres_server import PostgresServer, postgres
from team_servers import Machine, ServerProcess, mlflow_server, running
from waiting import LIMIT, until

__all__ = ["postgres"]
pytestmark = [pytest.mark.cluster, pytest.mark.e2e]
PROJECT = """
[corpora.mine]
sources = ["text:{text}"]
[tracking]
uri = "{url}"
interval = 0.5
patience = 600 # a busy machine
[prefect]
api_url = "http://127.0.0.1:9/api" # none answers there: the runs need no Prefect
[train]
batch_size = 2
window = 8
[sample]
length = 20
[architectures.rnn]
hidden_size = 8
"""
RUN = ("run", "train-and-sample", "--corpus", "mine", "--arch", "rnn")


@pytest.fixture(scope="module")
def mlflow(
    postgres: PostgresServer, s3_server: ObjectStorageServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    environ = CREDENTIALS | {"MLFLOW_S3_ENDPOINT_URL": s3_server.endpoint}
    folder = tmp_path_factory.mktemp("mlflow")
    with running(mlflow_server(folder, postgres.url("mlflow"), f"s3://{BUCKET}/mlflow", environ)) as server:
        yield server


def machine(folder: Path, mlflow: ServerProcess) -> Machine:
    return Machine(folder, PROJECT.format(text="abcabdabc " * 200, url=mlflow.url))


def infos(machine: Machine) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (machine.home / "runs").glob("*/status.json")]


def logged(mlflow: ServerProcess, run_id: str, key: str) -> list[dict[str, Any]]:
    path = f"/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key={key}"
    found: list[dict[str, Any]] = mlflow.ask(path).get("metrics", [])
    return found


def test_a_model_is_sampled_on_a_machine_that_has_only_the_project(
    mlflow: ServerProcess, s3_server: ObjectStorageServer, tmp_path: Path
) -> None:
    first, second = machine(tmp_path / "A", mlflow), machine(tmp_path / "B", mlflow)
    told = first.run(*RUN, "--set", "train.steps=12")
    assert "tracking is incomplete" not in told.stderr + told.stdout, told
    assert mlflow.url not in told.stdout  # MLflow's own lines about its pages
    [run] = list((first.home / "runs").iterdir())
    status = json.loads((run / "status.json").read_text())
    assert mlflow.ask(f"/api/2.0/mlflow/runs/get?run_id={status['mlflow']['run_id']}")["run"]["info"][
        "status"
    ] == ("FINISHED")
    assert s3_server.keys("mlflow/", "model.safetensors")
    said = second.run("sample", run.name, "--length", "30", "--seed", "1").stdout
    assert said == first.run("sample", run.name, "--length", "30", "--seed", "1").stdout
    assert not (second.home / "runs").exists() or not list((second.home / "runs").iterdir())
    said = first.run("doctor", code=1).stdout  # there is no Prefect server
    assert f"the MLflow server at {mlflow.url} answers, with version" in said


@pytest.mark.parametrize("lost", ["server", "database"])
def test_what_is_lost_in_mid_run_costs_one_warning_and_nothing_else(
    lost: str, mlflow: ServerProcess, postgres: PostgresServer, tmp_path: Path
) -> None:
    stop, start = {
        "server": (mlflow.kill, mlflow.start),
        "database": (postgres.stop, postgres.start),
    }[lost]
    here = machine(tmp_path / "A", mlflow)
    process = here.start(*RUN, "--set", "train.budget=60s", "--set", "tracking.patience=5")
    until(lambda: process.poll() is not None or list(here.home.glob("runs/*/metrics.jsonl")))
    assert process.poll() is None, (here.folder / "output").read_text()
    stop()
    assert [one["state"] for one in infos(here)] == ["running"]
    try:
        assert process.wait(LIMIT) == 0
    finally:
        start()
    output = (here.folder / "output").read_text()
    assert output.count("tracking is incomplete") == 1, output
    assert "urllib3" not in output
    [run] = (here.home / "runs").iterdir()
    steps = {
        line["step"]
        for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        if "train/loss" in line
    }
    here.run("runs", "sync", run.name)
    ids = infos(here)[0]["mlflow"]
    run_id = ids["run_id"]
    assert {int(one["step"]) for one in logged(mlflow, run_id, "train/loss")} == steps
    assert "0 metrics added" in here.run("runs", "sync", run.name).stdout
    models = {"experiment_ids": [ids["experiment_id"]], "filter": f"source_run_id = '{run_id}'"}
    found = mlflow.ask("/api/2.0/mlflow/logged-models/search", models)["models"]
    assert "LOGGED_MODEL_READY" in {one["info"]["status"] for one in found}
