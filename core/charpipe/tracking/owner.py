"""The owner of a record in MLflow, for when several workspaces log to one MLflow."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from charpipe.store.atomic import write_json
from charpipe.store.locks import exclusive
from charpipe.tracking.location import Location
from charpipe.workspace import Workspace


def workspace_id(workspace: Workspace) -> str:
    """The identifier of this workspace in a shared MLflow; it does not change when the workspace is moved."""
    path = workspace.root / "workspace.json"
    with exclusive(path.with_name("workspace.lock"), lambda holder: None, lambda: None):
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["id"])
        except (OSError, ValueError, KeyError, TypeError):
            made = secrets.token_hex(8)
            write_json(path, {"id": made})
            return made


def workspace_of(location: Location) -> Workspace:
    """The workspace that a location's MLflow folder belongs to."""
    return Workspace(Path(location.folder).parent)


def project_name(workspace: Workspace) -> str:
    """The display name of the workspace: the name of its parent folder, `songs` for `songs/.charpipe`."""
    root = workspace.root.absolute()
    return (root.parent if root.name.startswith(".") else root).name
