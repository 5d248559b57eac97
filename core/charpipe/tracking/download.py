"""Download a run's model from MLflow, given only the tracking URI, for example on another machine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from charpipe.config.identity import file_name
from charpipe.errors import CharpipeError, RunError
from charpipe.tracking import experiments, logged_models
from charpipe.tracking.client import connect, explain
from charpipe.tracking.location import Location
from charpipe.tracking.metadata import RUN_TAG

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel


def download_model(location: Location, run: str, folder: Path, which: str = "best") -> Path:
    """Download the model bundle of a run (its name, a unique prefix of it, or its MLflow id).

    Returns a folder in `folder` with model.safetensors, config.json and vocabulary.json, each verified against its
    recorded sha256. Raises RunError or UsageError if there is no such run or model.
    """
    try:
        return _download(location, run, folder, which)
    except CharpipeError:
        raise
    except Exception as error:
        raise explain(error, location) from error


def _download(location: Location, wanted: str, folder: Path, which: str) -> Path:
    client = connect(location)
    found = experiments.look_up(client, wanted, location.shown)
    models = logged_models.of_run(client, found.info.experiment_id, found.info.run_id)
    model = models.get(which) or models.get("last")
    name = found.data.tags.get(RUN_TAG, found.info.run_name)
    if model is None:
        raise RunError(f"the run {name} has no model in the MLflow at {location.shown} yet")
    target = folder / f"{file_name(name)}-{which}-{model.model_id[:10]}"
    if target.is_dir() and _is_whole(target, model):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        from mlflow.artifacts import download_artifacts

        fetched = Path(
            download_artifacts(
                artifact_uri=model.artifact_location, dst_path=temporary, tracking_uri=location.uri
            )
        )
        if not _is_whole(fetched, model):
            raise RunError(
                f"the model of {name} from {location.shown} does not match its recorded digest; nothing was kept"
            )
        fetched.rename(target)
    return target


def _is_whole(folder: Path, model: LoggedModel) -> bool:
    expected = json.loads(model.tags.get(logged_models.FILES_TAG, "{}"))
    found = logged_models.digests(folder)
    return bool(expected) and all(found.get(name) == digest for name, digest in expected.items())
