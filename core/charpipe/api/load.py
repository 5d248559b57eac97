"""`charpipe.load`: load the model of a run, to read and write text."""

from __future__ import annotations

from charpipe.api.loaded_model import LoadedModel
from charpipe.api.pipelines import open_runs
from charpipe.config import load_config
from charpipe.config.plugin_folders import open_plugins
from charpipe.errors import UsageError
from charpipe.tracking.models import find_model


def load(run: str = "last", which: str = "best", *, device: str = "auto") -> LoadedModel:
    """Load the model of a run: `run` is its name, a unique prefix of it, an MLflow run id, `last`, `best:CORPUS` or
    `champion:CORPUS`, or the folder of an exported model; `which` is the "best" or "last" checkpoint.

    Searches the workspace of the current project, then the shared store and the MLflow that its settings name.
    Raises CharpipeError.
    """
    resolved = load_config()
    registry, runs = open_plugins(resolved), open_runs(resolved)
    if which not in ("best", "last"):
        raise UsageError(f"there is no {which!r} checkpoint; give best or last")
    loaded = find_model(run, runs.workspace, registry, resolved.config.tracking, which, runs)
    return LoadedModel(loaded, registry.all("decoder"), device)
