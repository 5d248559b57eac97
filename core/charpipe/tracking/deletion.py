"""Delete a run's models from the workspace's own MLflow, where its metrics remain as history; or the whole run."""

from __future__ import annotations

import shutil
from pathlib import Path

from charpipe.runs import Run
from charpipe.tracking import experiments
from charpipe.tracking.client import connect, explain
from charpipe.tracking.file_uris import path_of
from charpipe.tracking.location import Location
from charpipe.tracking.logged_models import ROLE_TAG


def forget_models(location: Location, run: str) -> int:
    """Delete the best and the last model of the run with that name; returns the number of bytes freed.

    An MLflow other than the workspace's own is not changed. Registered models remain: they follow the champions.
    Raises CharpipeError if MLflow fails.
    """
    if not location.is_own or not (location.folder / "mlflow.db").is_file():
        return 0
    try:
        return _forget(location, run)
    except Exception as error:
        raise explain(error, location) from error


def delete_run(location: Location, run: Run, *, dry_run: bool = False) -> int | None:
    """Delete a run in MLflow; returns the bytes freed, None if MLflow has no such run.

    In the workspace's own MLflow its models and artifacts go too; an MLflow elsewhere marks it as deleted, and keeps
    its files by its own rules. Raises CharpipeError if MLflow fails.
    """
    if location.is_own and not (location.folder / "mlflow.db").is_file():
        return None
    try:
        client = connect(location)
        remembered = run.status.mlflow
        known = remembered.get("run_id") if location.is_where(remembered) else None
        found = experiments.find_run(client, run.name, known)
        if found is None:
            return None
        artifacts = _own_artifacts(location, found.info.artifact_uri)
        freed = _size(artifacts) if artifacts is not None else 0
        if location.is_own:
            freed += _forget(location, run.name, dry_run=dry_run)
        if dry_run:
            return freed
        client.delete_run(found.info.run_id)
        if artifacts is not None:
            shutil.rmtree(artifacts, ignore_errors=True)
    except Exception as error:
        raise explain(error, location) from error
    return freed


def _own_artifacts(location: Location, uri: str) -> Path | None:
    """The folder of a run's artifacts, if it lies in the workspace."""
    if not location.is_own:
        return None
    folder = Path(path_of(uri))
    return folder if folder != location.folder and folder.is_relative_to(location.folder) else None


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _forget(location: Location, run: str, *, dry_run: bool = False) -> int:
    client = connect(location)
    found = experiments.find_run(client, run)
    if found is None:
        return 0
    freed, where = 0, f"source_run_id = '{found.info.run_id}'"
    for model in client.search_logged_models([found.info.experiment_id], filter_string=where):
        folder = Path(path_of(model.artifact_location))
        if ROLE_TAG not in model.tags or not folder.is_relative_to(location.folder):
            continue
        freed += _size(folder)
        if dry_run:
            continue
        client.delete_logged_model(model.model_id)
        shutil.rmtree(folder, ignore_errors=True)
    return freed
