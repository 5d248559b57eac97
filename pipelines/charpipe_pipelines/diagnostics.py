"""A check for `charpipe doctor`: the Prefect server that runs are reported to. It imports no Prefect."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version

from charpipe.diagnostics.answers import ask, clock, shown
from charpipe.diagnostics.surroundings import Surroundings
from charpipe.errors import CharpipeError
from charpipe.plugin import Finding
from charpipe_pipelines.server import OWN_API, managed_server

CREDENTIALS = "set PREFECT_API_AUTH_STRING, or PREFECT_API_KEY for Prefect Cloud"


def prefect(surroundings: Surroundings) -> Iterator[Finding]:
    """The server that `[prefect] api_url` or PREFECT_API_URL names, or the workspace's own."""
    environ, resolved = surroundings.environ, surroundings.resolved
    configured = resolved.config.prefect.api_url if resolved else None
    by_environment = environ.get("PREFECT_API_URL")
    if by_environment and by_environment == environ.get(OWN_API):
        by_environment = None
    url = configured or by_environment
    if url is None:
        workspace = surroundings.workspace
        there = (workspace.root / "prefect").is_dir()  # asking for it would make it
        running = managed_server(workspace).running() if there else None
        state = f"runs at {running}" if running else "is not running; the next run starts it"
        yield Finding("prefect", "ok", f"the workspace's own Prefect server {state}")
        return
    yield from _server(
        url.rstrip("/"), "[prefect] api_url" if configured else "PREFECT_API_URL", surroundings
    )


def _server(url: str, origin: str, surroundings: Surroundings) -> Iterator[Finding]:
    subject = f"the Prefect server at {shown(url)}"
    try:
        health = ask(f"{url}/health", surroundings.seconds)
        ready = ask(f"{url}/ready", surroundings.seconds)
        said = ask(f"{url}/admin/version", surroundings.seconds, _login(surroundings.environ))
    except CharpipeError as error:
        message = f"{subject} cannot be reached ({error}); runs work all the same, and are not shown there"
        yield Finding("prefect", "problem", message, f"start it, or correct {origin}")
        return
    if said.status in (401, 403):
        yield Finding(
            "prefect", "problem", f"{subject} refused the credentials (HTTP {said.status})", CREDENTIALS
        )
        return
    if health.status != 200:
        message = f"{subject} answered with HTTP {health.status}; the address of its API ends in /api"
        yield Finding("prefect", "problem", message, f"correct {origin}")
        return
    if ready.status == HTTPStatus.SERVICE_UNAVAILABLE:
        message = f"{subject} answers without its database; runs work all the same, and are not shown there"
        yield Finding(
            "prefect", "problem", message, "start the server's database; its log says why it is not there"
        )
        return
    yield _compared(subject, said.text.strip().strip('"') if said.status == 200 else None)
    yield from clock("prefect", subject, health.ahead)


def _compared(subject: str, theirs: str | None) -> Finding:
    ours = version("prefect")
    if theirs is None:  # Prefect Cloud does not say
        return Finding("prefect", "ok", f"{subject} answers (here: {ours})")
    if theirs.split(".")[:2] == ours.split(".")[:2]:
        return Finding("prefect", "ok", f"{subject} answers, with version {theirs} (here: {ours})")
    message = f"{subject} has version {theirs}, and this machine {ours}"
    return Finding(
        "prefect", "warning", message, f"install one version on both, as in: pip install prefect=={theirs}"
    )


def _login(environ: Mapping[str, str]) -> dict[str, str]:
    """The header with the credentials that Prefect's own client would send."""
    if key := environ.get("PREFECT_API_KEY"):
        return {"Authorization": f"Bearer {key}"}
    if both := environ.get("PREFECT_API_AUTH_STRING"):
        return {"Authorization": f"Basic {base64.b64encode(both.encode()).decode()}"}
    return {}
