"""Find trained models by name: in this workspace's runs and champions, in MLflow, given only its tracking URI, or in a
folder that a model was exported to."""

from __future__ import annotations

from pathlib import Path

from charpipe.champions.references import parse_reference
from charpipe.config.settings.tracking import TrackingConfig
from charpipe.errors import RunError, UsageError
from charpipe.models.folders import is_model_folder, open_folder
from charpipe.models.loaded import Bundle, Loaded, open_bundle
from charpipe.plugins.registry import Registry
from charpipe.runs.library import RunLibrary
from charpipe.runs.models import open_run
from charpipe.runs.paths import is_path
from charpipe.tracking.location import Location, locate
from charpipe.workspace import Workspace


def find_model(
    wanted: str,
    workspace: Workspace,
    registry: Registry,
    tracking: TrackingConfig,
    which: str = "best",
    runs: RunLibrary | None = None,
) -> Loaded:
    """The model of the run `wanted` (or of `champion:CORPUS`, `previous:CORPUS`), from this workspace or the shared
    store that `runs` knows, or else from the MLflow that the settings name. A path (`./NAME`) is that of an exported
    folder, and so is a name that no run has.

    Raises UsageError with near matches if neither has such a run.
    """
    return find_bundle(wanted, workspace, registry, tracking, which, runs).load()


def find_bundle(
    wanted: str,
    workspace: Workspace,
    registry: Registry,
    tracking: TrackingConfig,
    which: str = "best",
    runs: RunLibrary | None = None,
) -> Bundle:
    """Where the model that `wanted` names is, not loaded yet; see `find_model`."""
    if is_path(wanted):
        return open_folder(Path(wanted), registry)
    runs = runs or RunLibrary(workspace)
    try:
        if (kept := runs.champion(wanted)) is not None:
            return open_bundle(kept.run, kept.folder, registry)
        return open_run(runs.find(wanted, use="model", checkpoint=which), registry, which)
    except (UsageError, RunError) as error:
        if isinstance(error, UsageError) and is_model_folder(Path(wanted)):
            return open_folder(Path(wanted), registry)
        location = locate(tracking, workspace.mlflow)
        if location.is_own or not isinstance(error, UsageError):
            raise
        return open_bundle(
            wanted, _download(location, wanted, workspace.downloads / "models", which), registry
        )


def _download(location: Location, wanted: str, folder: Path, which: str) -> Path:
    """Download the model of a run, or of a champion, from an MLflow server; returns its folder."""
    from charpipe.tracking.champion_download import download_champion
    from charpipe.tracking.download import download_model

    if parse_reference(wanted) is not None:
        return download_champion(location, wanted, folder)
    return download_model(location, wanted, folder, which)
