"""`charpipe serve`: locks the workspace, keeps its Prefect server up, executes scheduled runs, stops cleanly."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from charpipe.errors import CharpipeError, UsageError
from charpipe.stages import Stop
from charpipe.store.locks import exclusive
from charpipe.workspace import Workspace
from charpipe_pipelines.deployments.catalogue import Deployment
from charpipe_pipelines.deployments.dispatcher import Dispatcher, Report
from charpipe_pipelines.deployments.registration import connect, pause_leftovers, register
from charpipe_pipelines.server import Api

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient

POLL_SECONDS = 1.0
AGAIN_SECONDS = 3.0
"""Before a server that is gone is tried again."""
FAREWELL_SECONDS = 330.0


@contextmanager
def held(workspace: Workspace) -> Iterator[None]:
    """Hold the lock of the one process that serves this workspace. Raises CharpipeError naming its holder."""

    def refuse(holder: str) -> None:
        raise CharpipeError(f"{workspace.root} is already served by {holder}; stop that process first")

    with exclusive(workspace.prefect / "serve.lock", refuse):
        yield


def is_served(workspace: Workspace) -> bool:
    """Whether a process serves this workspace now."""
    try:
        with FileLock(workspace.prefect / "serve.lock", timeout=0):
            return False
    except Timeout:
        return True


def serve(
    workspace: Workspace,
    deployments: Sequence[Deployment],
    flows: Mapping[str, str],
    api: Api,
    limit: int,
    report: Report,
    stop: Stop,
) -> None:
    """Serve until `stop` is requested, then let the running flows save and exit; the schedules stay active.

    A lost server is restarted, or waited for where it is not the workspace's own. Raises CharpipeError
    where there is none at the start.
    """
    environ = os.environ | {"CHARPIPE_HOME": str(workspace.root)}
    dispatcher = Dispatcher(workspace, flows, environ, limit, report)
    served = lost = False
    while not stop.event.is_set():
        try:
            url = api.reach()
            with connect(url) as client:
                registered = _register(client, deployments, workspace, report, own=api.server is not None)
                dispatcher.adopt(client, registered, url, own=api.server is not None)
                if lost or not served:
                    report("serving", url=url, again=lost)
                served, lost = True, False
                while not stop.event.wait(POLL_SECONDS):
                    dispatcher.tick(client)
        except Exception as error:
            if not (_is_busy(error) or (served and _is_loss(error))):
                dispatcher.stop_all()
                raise
            if not lost and not _is_busy(error):
                report("lost", why=_first_line(error))
                lost = True
            stop.event.wait(AGAIN_SECONDS)
    _farewell(dispatcher, api, report)


def _register(
    client: SyncPrefectClient,
    deployments: Sequence[Deployment],
    workspace: Workspace,
    report: Report,
    own: bool,
) -> dict[UUID, Deployment]:
    registered = {register(client, one, workspace): one for one in deployments}
    for name in pause_leftovers(client, set(registered), workspace, own):
        report("paused", deployment=name, why="it is no longer in pipelines.toml")
    return registered


def _farewell(dispatcher: Dispatcher, api: Api, report: Report) -> None:
    if dispatcher.processes:
        report("saving", runs=len(dispatcher.processes))
    dispatcher.stop_all()
    deadline = time.monotonic() + FAREWELL_SECONDS
    while dispatcher.processes and time.monotonic() < deadline:
        try:
            with connect(api.reach()) as client:
                while not dispatcher.reap(client) and time.monotonic() < deadline:
                    time.sleep(0.2)
        except Exception as error:
            if not (_is_loss(error) or _is_busy(error)):
                raise
            time.sleep(AGAIN_SECONDS)


def _is_loss(error: Exception) -> bool:
    """Whether the error means that the server is gone or starting, and is not a bug here."""
    import httpx

    if isinstance(error, UsageError):
        return False
    return isinstance(error, CharpipeError | httpx.TransportError | OSError | RuntimeError)


def _is_busy(error: Exception) -> bool:
    """Whether the server is up, but its database was briefly locked: not worth reporting."""
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError

    if isinstance(error, PrefectHTTPStatusError):
        return error.response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
    return isinstance(error, httpx.TimeoutException)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
