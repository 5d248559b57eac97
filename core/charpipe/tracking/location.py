"""The location of MLflow's data: always an explicit URI, so that MLflow never falls back to `./mlruns`.

In this order: the `[tracking]` table, MLFLOW_TRACKING_URI (used with a notice), SQLite in the workspace.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from charpipe.config.settings.tracking import TrackingConfig
from charpipe.errors import UsageError
from charpipe.store.secrets import redact, without_secret
from charpipe.store.sqlite import database_url, plain_url
from charpipe.tracking import shared_database

DATABASE_SCHEMES = ("sqlite", *shared_database.SCHEMES)
OWN_FILE = "/mlflow/mlflow.db"
_FILE = re.compile(r"sqlite(\+pysqlite)?:///(/|file:/)")


@dataclass(frozen=True)
class Location:
    """An MLflow location: its tracking URI; where new experiments store artifacts (None: the server decides); the
    workspace's folder for locks; the source of the URI; and a notice for the user."""

    uri: str
    artifacts: str | None
    folder: Path
    origin: str
    notice: str | None = None

    @property
    def is_server(self) -> bool:
        """Whether this is an MLflow server, which then also serves the pages."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def is_shared_database(self) -> bool:
        """Whether this is a database server, which clients on several machines may use at once."""
        return _scheme(self.uri) in shared_database.SCHEMES

    @property
    def is_own(self) -> bool:
        """Whether this is the workspace's own database."""
        return self.origin == "workspace"

    @property
    def key(self) -> str:
        """The identifier of this location that a run stores: without a password, and without a path that changes when
        it is moved."""
        return "workspace" if self.is_own else self.shown

    def is_where(self, remembered: Mapping[str, Any]) -> bool:
        """Whether a run's stored `mlflow` attributes refer to this location."""
        uri = str(remembered.get("uri", ""))
        if self.is_own:
            return uri == "workspace" or (
                uri.startswith("sqlite") and uri.removesuffix("?uri=true").endswith(OWN_FILE)
            )
        return uri in (self.uri, self.shown)

    @property
    def shown(self) -> str:
        """The URI for display: without a password, a file's path verbatim."""
        return without_password(plain_url(self.uri))


def locate(config: TrackingConfig, folder: Path, environ: Mapping[str, str] | None = None) -> Location:
    """The MLflow location for a workspace whose MLflow folder is `folder`.

    Raises UsageError for unsupported URIs, and for a database of several machines without artifacts that all reach.
    """
    env = os.environ if environ is None else environ
    folder = folder.absolute()
    own = (folder / "artifacts").as_uri()
    if config.uri:
        return _elsewhere(config.uri, config.artifacts, own, folder, "[tracking] uri", None)
    if uri := env.get("MLFLOW_TRACKING_URI"):
        notice = f"tracking to {without_password(uri)}, because MLFLOW_TRACKING_URI is set"
        return _elsewhere(uri, config.artifacts, own, folder, "MLFLOW_TRACKING_URI", notice)
    return Location(database_url(folder / "mlflow.db"), config.artifacts or own, folder, "workspace")


def _elsewhere(
    uri: str, artifacts: str | None, own: str, folder: Path, origin: str, notice: str | None
) -> Location:
    scheme = _scheme(uri)
    if scheme in ("http", "https"):
        return Location(uri.rstrip("/"), None, folder, origin, notice)
    if scheme not in DATABASE_SCHEMES or (scheme == "sqlite" and not _FILE.match(uri)):
        raise UsageError(
            f"{without_password(uri)!r} (from {origin}) is no MLflow tracking URI that charpipe can use; "
            "give http(s)://HOST:PORT or a database such as sqlite:////absolute/path/mlflow.db"
        )
    if scheme in shared_database.SCHEMES:
        return Location(uri, shared_database.check_shared(uri, artifacts, origin), folder, origin, notice)
    return Location(uri, artifacts or own, folder, origin, notice)


def _scheme(uri: str) -> str:
    return urlsplit(uri).scheme.split("+")[0]


def without_password(uri: str) -> str:
    """The URI without its password, safe to show."""
    return redact(without_secret(uri))
