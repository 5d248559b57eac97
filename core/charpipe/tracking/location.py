"""Where MLflow's data live: always an explicit URI, so that a stray `./mlruns` never decides.

Order: the `[tracking]` table, then MLFLOW_TRACKING_URI (honoured, with a notice), then SQLite in the workspace.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from charpipe.errors import UsageError
from charpipe.tracking.settings import TrackingConfig

DATABASE_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql")


@dataclass(frozen=True)
class Location:
    """One MLflow: its tracking URI, where new experiments put their artifacts (None: the server decides), the
    workspace's folder for locks, where the URI came from, and what the user should be told about that."""

    uri: str
    artifacts: str | None
    folder: Path
    origin: str
    notice: str | None = None

    @property
    def is_server(self) -> bool:
        """Whether an MLflow server answers here, which then also shows the pages."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def is_own(self) -> bool:
        """Whether this is the workspace's own database."""
        return self.origin == "workspace"


def locate(config: TrackingConfig, folder: Path, environ: Mapping[str, str] | None = None) -> Location:
    """The MLflow to use, for a workspace whose MLflow folder is `folder`. Raises UsageError for a URI of another kind."""
    env = os.environ if environ is None else environ
    folder = folder.absolute()
    if config.uri:
        return _elsewhere(config.uri, folder, "settings", None)
    if uri := env.get("MLFLOW_TRACKING_URI"):
        notice = f"tracking to {_without_password(uri)}, because MLFLOW_TRACKING_URI is set"
        return _elsewhere(uri, folder, "MLFLOW_TRACKING_URI", notice)
    return Location(f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri(), folder, "workspace")


def _elsewhere(uri: str, folder: Path, origin: str, notice: str | None) -> Location:
    scheme = urlsplit(uri).scheme.split("+")[0]
    if scheme in ("http", "https"):
        return Location(uri.rstrip("/"), None, folder, origin, notice)
    if scheme not in DATABASE_SCHEMES:
        raise UsageError(
            f"{_without_password(uri)!r} (from {origin}) is no MLflow tracking URI that charpipe can use; "
            "give http(s)://HOST:PORT or a database such as sqlite:////absolute/path/mlflow.db"
        )
    return Location(uri, (folder / "artifacts").as_uri(), folder, origin, notice)


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    return uri.replace(f":{parts.password}@", ":***@") if parts.password else uri
