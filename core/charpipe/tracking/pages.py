"""MLflow's pages: the workspace's own MLflow server, and direct links to runs."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from charpipe.errors import RunError
from charpipe.runs import Run
from charpipe.servers.managed import ManagedServer
from charpipe.tracking.client import connect, quiet_environment
from charpipe.tracking.file_uris import decode_exactly
from charpipe.tracking.location import Location
from charpipe.tracking.view import query

TRAINING = "workflowType=machine_learning"
"""Opens MLflow's pages on "Model training" instead of its view of language-model traces."""


def mlflow_server(location: Location, logs: Path) -> ManagedServer:
    """The managed MLflow server that serves `location` on loopback; for a database, not for an existing server."""
    return ManagedServer(
        name="MLflow",
        folder=location.folder,
        application="charpipe.tracking.pages:application",
        health="/health",
        log=logs.absolute() / "mlflow-server.log",
        arguments={"uri": location.uri, "artifacts": location.artifacts or ""},
        unset=("MLFLOW_", "_MLFLOW_"),
    )


def base_url(location: Location, logs: Path) -> str:
    """The URL of MLflow's pages: the server that the settings name, or our own, started if necessary."""
    if location.is_server:
        return location.uri
    connect(location)  # migrate the database first, under its lock
    return mlflow_server(location, logs).start()


def link(base: str, run: Run | None = None) -> str:
    """The page of a run under "Model training", or of all experiments."""
    ids = run.status.mlflow if run is not None else {}
    if not ids.get("experiment_id"):
        return f"{base}/#/experiments?{TRAINING}"
    return f"{base}/#/experiments/{ids['experiment_id']}/runs/{ids['run_id']}?{TRAINING}"


def experiment_link(base: str, run: Run, charts: bool = False) -> str:
    """The page with all runs of a run's experiment in charpipe's view: a table, or overlaid charts."""
    return f"{base}/#/experiments/{run.status.mlflow.get('experiment_id', '0')}/runs?{query(charts)}"


def comparison_link(base: str, runs: Sequence[Run]) -> str:
    """The page that compares these runs. Raises RunError if one of them is not in MLflow."""
    for run in runs:
        if not run.status.mlflow.get("run_id"):
            raise RunError(f"the run {run.name} is not in MLflow yet; type: charpipe runs sync {run.name}")
    ids = json.dumps([run.status.mlflow["run_id"] for run in runs])
    experiments = json.dumps(sorted({run.status.mlflow["experiment_id"] for run in runs}))
    return f"{base}/#/compare-runs?runs={quote(ids)}&experiments={quote(experiments)}&{TRAINING}"


def application(url: str, uri: str, artifacts: str) -> Any:
    """The ASGI application of MLflow's server over a database, configured as by `mlflow server`, in this process."""
    quiet_environment()
    from mlflow.server import constants

    os.environ.update(
        {
            constants.BACKEND_STORE_URI_ENV_VAR: uri,
            constants.REGISTRY_STORE_URI_ENV_VAR: uri,
            constants.ARTIFACT_ROOT_ENV_VAR: artifacts,
            constants.ARTIFACTS_DESTINATION_ENV_VAR: artifacts,
            constants.SERVE_ARTIFACTS_ENV_VAR: "true",
            "MLFLOW_TRACKING_URI": uri,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "_MLFLOW_SGI_NAME": "uvicorn",
            "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
        }
    )
    decode_exactly(artifacts)
    from mlflow.server.fastapi_app import app

    return app
