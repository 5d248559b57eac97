"""A check of the MLflow that runs are tracked to: whether it answers, its version, its clock, its artifacts."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from importlib.metadata import version

from charpipe.config.settings.tracking import TrackingConfig
from charpipe.diagnostics.answers import ask, clock, shown
from charpipe.diagnostics.surroundings import Surroundings
from charpipe.errors import CharpipeError
from charpipe.plugins.contracts import Finding
from charpipe.tracking import locate
from charpipe.tracking.shared_database import inspect_database

CREDENTIALS = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


def tracking(surroundings: Surroundings) -> Iterator[Finding]:
    """The MLflow that `[tracking] uri` or MLFLOW_TRACKING_URI names."""
    config = surroundings.resolved.config.tracking if surroundings.resolved else TrackingConfig()
    if not config.enabled:
        yield Finding("tracking", "ok", "[tracking] enabled = false: runs are not logged to MLflow")
        return
    try:
        place = locate(config, surroundings.workspace.root / "mlflow", surroundings.environ)
    except CharpipeError as error:
        yield Finding("tracking", "problem", str(error), "see docs/cluster.md")
        return
    if place.is_own:
        yield Finding("tracking", "ok", "runs are logged to the workspace's own MLflow (SQLite)")
    elif place.is_server:
        yield from _server(place.uri, surroundings)
    elif place.is_shared_database:
        yield from _database(place.uri, place.artifacts or "", surroundings)
    else:
        yield Finding("tracking", "ok", f"runs are logged to {place.shown}")


def _server(uri: str, surroundings: Surroundings) -> Iterator[Finding]:
    subject = f"the MLflow server at {shown(uri)}"
    try:
        said = ask(f"{uri}/version", surroundings.seconds)
        login = ask(
            f"{uri}/api/2.0/mlflow/experiments/search?max_results=1",
            surroundings.seconds,
            _login(surroundings.environ),
        )
    except CharpipeError as error:
        yield Finding(
            "tracking",
            "problem",
            f"{subject} cannot be reached ({error}); runs are trained all the same, and logged later",
            "start it, or correct [tracking] uri; then type: charpipe runs sync",
        )
        return
    if login.status in (401, 403):
        yield Finding(
            "tracking", "problem", f"{subject} refused the credentials (HTTP {login.status})", CREDENTIALS
        )
        return
    if login.status >= 400 or said.status != 200:
        message = f"{subject} answered with HTTP {max(login.status, said.status)}; it may be no MLflow server"
        yield Finding("tracking", "problem", message, "correct [tracking] uri")
        return
    yield _compared(subject, said.text.strip().strip('"'), version("mlflow"))
    yield from clock("tracking", subject, said.ahead)


def _compared(subject: str, theirs: str, ours: str) -> Finding:
    if theirs.split(".")[:2] == ours.split(".")[:2]:
        return Finding("tracking", "ok", f"{subject} answers, with version {theirs} (here: {ours})")
    return Finding(
        "tracking",
        "warning",
        f"{subject} has version {theirs}, and this machine {ours}",
        f"install one version on both, as in: pip install mlflow=={theirs}",
    )


def _database(uri: str, artifacts: str, surroundings: Surroundings) -> Iterator[Finding]:
    subject = f"the MLflow database {shown(uri)}"
    try:
        state = inspect_database(uri, surroundings.seconds)
    except CharpipeError as error:
        message = f"{subject} cannot be used ({error})"
        yield Finding("tracking", "problem", message, "start it, or correct [tracking] uri")
        return
    yield Finding(
        "tracking", "ok", f"{subject} answers: {state.server}, {state.schema}; artifacts go to {artifacts}"
    )
    yield from clock("tracking", subject, state.ahead)


def _login(environ: Mapping[str, str]) -> dict[str, str]:
    """The header with the credentials that MLflow's own client would send."""
    user, password = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_PASSWORD")
    if user and password:
        return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
    token = environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}
