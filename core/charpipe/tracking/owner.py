"""Who a record in MLflow belongs to, where several workspaces log to one MLflow."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from charpipe.store.atomic import write_json
from charpipe.store.locks import exclusive
from charpipe.tracking.location import Location
from charpipe.workspace import Workspace


def workspace_id(workspace: Workspace) -> str:
    """What tells this workspace from others in a shared MLflow, wherever it is moved."""
    path = workspace.root / "workspace.json"
    with exclusive(path.with_name("workspace.lock"), lambda holder: None, lambda: None):
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["id"])
        except (OSError, ValueError, KeyError, TypeError):
            made = secrets.token_hex(8)
            write_json(path, {"id": made})
            return made


def workspace_of(location: Location) -> Workspace:
    """The workspace whose MLflow folder a location has."""
    return Workspace(Path(location.folder).parent)


def project_name(workspace: Workspace) -> str:
    """What people call the workspace: the name of the folder that it lies in, `songs` of `songs/.charpipe`."""
    root = workspace.root.absolute()
    return (root.parent if root.name.startswith(".") else root).name
