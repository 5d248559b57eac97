"""Delete a run's models from the workspace's own MLflow when the run is deleted; its metrics remain as history."""

from __future__ import annotations

import shutil
from pathlib import Path

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


def _forget(location: Location, run: str) -> int:
    client = connect(location)
    found = experiments.find_run(client, run)
    if found is None:
        return 0
    freed, where = 0, f"source_run_id = '{found.info.run_id}'"
    for model in client.search_logged_models([found.info.experiment_id], filter_string=where):
        folder = Path(path_of(model.artifact_location))
        if ROLE_TAG not in model.tags or not folder.is_relative_to(location.folder):
            continue
        freed += sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
        client.delete_logged_model(model.model_id)
        shutil.rmtree(folder, ignore_errors=True)
    return freed
