"""`charpipe.load`: load the model of a run, to read and write text."""

from __future__ import annotations

from charpipe.api.loaded_model import LoadedModel
from charpipe.config import load_config
from charpipe.config.files import find_project_file
from charpipe.config.plugin_folders import open_plugins
from charpipe.errors import UsageError
from charpipe.tracking.models import find_model
from charpipe.workspace import find_workspace


def load(run: str = "last", which: str = "best", *, device: str = "auto") -> LoadedModel:
    """Load the model of a run: `run` is its name, a unique prefix of it, an MLflow run id, `last`, `best:CORPUS` or
    `champion:CORPUS`; `which` is the "best" or "last" checkpoint.

    Searches the workspace of the current project, then the MLflow that its settings name. Raises CharpipeError.
    """
    resolved = load_config()
    workspace = find_workspace(find_project_file())
    registry = open_plugins(resolved)
    if which not in ("best", "last"):
        raise UsageError(f"there is no {which!r} checkpoint; give best or last")
    loaded = find_model(run, workspace, registry, resolved.config.tracking, which)
    return LoadedModel(loaded, registry.all("decoder"), device)
