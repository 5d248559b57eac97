"""The workspace's own Prefect server: how it is started, and how a process becomes its client."""

from __future__ import annotations

import logging
import os
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from charpipe.errors import CharpipeError
from charpipe.events import Listener, Notice
from charpipe.servers.managed import ManagedServer
from charpipe.store.secrets import redact, without_secret
from charpipe.store.sqlite import database_url
from charpipe.workspace import Workspace
from charpipe_pipelines.isolation import forget_user_files
from charpipe_pipelines.orphans import mark_killed_runs

LOG_FILE = "CHARPIPE_PREFECT_LOG"
CHECK_SECONDS = 20.0
ANSWER_SECONDS = 10.0
OWN_API = "CHARPIPE_PREFECT_API"
"""What this process set PREFECT_API_URL to, to tell it from the user's."""
LOGGING = Path(__file__).with_name("logging.yml")
QUIET = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_SETTINGS_PATH": str(LOGGING),
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_CLI_COLORS": "false",
}


@dataclass(frozen=True)
class Api:
    """The Prefect API that runs report to; `server` is None where it is not the workspace's own."""

    url: str
    server: ManagedServer | None

    def is_there(self) -> bool:
        """Whether the API answers; restarts our own server at its previous address if it was killed."""
        try:
            return self.reach() == self.url
        except (CharpipeError, OSError, ValueError):
            return False

    def reach(self) -> str:
        """The URL of the API; starts our own server if needed. Raises CharpipeError where none answers."""
        if self.server is not None:
            return f"{self.server.start()}/api"
        try:
            _check_ready(self.url)
        except (OSError, ValueError) as error:
            raise CharpipeError(
                f"the Prefect server at {without_secret(self.url)} does not answer ({redact(_reason(error))})"
            ) from error
        return self.url

    @property
    def page(self) -> str:
        """The URL of the UI."""
        return self.url.removesuffix("/api")


def _check_ready(url: str) -> None:
    """Raise OSError if the API does not answer, or without its database; ValueError if the URL is none.

    Its health alone says nothing of the database, and a client would repeat each request for a minute."""
    try:
        urllib.request.urlopen(f"{url}/ready", timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        urllib.request.urlopen(f"{url}/health", timeout=ANSWER_SECONDS).close()


def _reason(error: Exception) -> str:
    """What is wrong, without the names and numbers that Python puts around it: `connection refused`."""
    inner = error.reason if type(error) is urllib.error.URLError else error
    words: str | None = getattr(inner, "strerror", None)
    return words.lower() if words else str(inner)


def managed_server(workspace: Workspace) -> ManagedServer:
    """The workspace's Prefect server, started or not."""
    home = workspace.prefect.absolute()
    log = workspace.logs.absolute() / "prefect-server.log"
    return ManagedServer(
        name="Prefect",
        folder=home,
        application="charpipe_pipelines.server:application",
        health="/api/health",
        log=log,
        arguments={"home": str(home), "log": str(log)},
        unset=("PREFECT_",),  # the user's own Prefect settings are for the user's own server
    )


def application(url: str, home: str, log: str) -> Any:
    """The ASGI application of Prefect's server, at `url`, with its database in `home`."""
    os.environ.update(
        QUIET
        | {
            LOG_FILE: log,
            "PREFECT_HOME": home,
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database_url(
                Path(home) / "prefect.db", "sqlite+aiosqlite"
            ),
            "PREFECT_API_URL": f"{url}/api",
            "PREFECT_UI_API_URL": f"{url}/api",
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(Path(home) / "page"),  # packages may be read-only
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
            # flow runs older than 90 days are deleted, with their logs and artifacts: the database stays small
            "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
            # slots held by runs of a pool survive a killed server, and are released
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        }
    )
    from prefect.server.api.server import create_app

    threading.Thread(target=_check_runs, args=(f"{url}/api",), daemon=True).start()
    return create_app(final=True)


def _check_runs(url: str) -> None:
    """Mark runs whose process was killed as crashed, while this server is up."""
    while True:
        time.sleep(CHECK_SECONDS)
        mark_killed_runs(url)


def choose(workspace: Workspace, configured: str | None, notify: Listener) -> Api:
    """The API to use: that of the `[prefect]` table, then PREFECT_API_URL (with a notice), then our own."""
    if configured:
        return Api(configured.rstrip("/"), None)
    url = os.environ.get("PREFECT_API_URL")
    if url and url != os.environ.get(OWN_API):
        notify(
            Notice(
                f"runs are shown on the Prefect server at {without_secret(url)}, because PREFECT_API_URL is set"
            )
        )
        return Api(url.rstrip("/"), None)
    return Api("", managed_server(workspace))


def become_client(workspace: Workspace) -> None:
    """Keep Prefect, not imported yet in this process, from writing to the terminal and to ~/.prefect."""
    loopback = "127.0.0.1,localhost,::1"
    for variable in ("NO_PROXY", "no_proxy"):  # no proxy between this machine and itself
        if loopback not in os.environ.get(variable, ""):
            os.environ[variable] = ",".join(filter(None, (os.environ.get(variable), loopback)))
    forget_user_files(workspace.prefect.absolute())
    logging.raiseExceptions = False  # keeps log lines that a lost server cannot take off the terminal
    os.environ.update(
        QUIET
        | {
            LOG_FILE: str(workspace.logs.absolute() / "prefect.log"),
            "PREFECT_HOME": str(workspace.prefect.absolute()),
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        }
    )


def point_client_at(url: str) -> None:
    """Set `url` as the API of this process's Prefect, which is already imported."""
    from prefect.context import refresh_global_settings_context
    from prefect.logging.configuration import setup_logging

    os.environ["PREFECT_API_URL"] = os.environ[OWN_API] = url
    refresh_global_settings_context()
    setup_logging(incremental=False)  # Prefect may have been imported before it was silenced
