"""Download a champion's bundle from MLflow's model registry."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from charpipe.champions.references import parse_reference
from charpipe.config.identity import file_name
from charpipe.errors import CharpipeError, RunError, UsageError
from charpipe.tracking.client import connect, explain
from charpipe.tracking.location import Location
from charpipe.tracking.logged_models import FILES_TAG, digests
from charpipe.tracking.model_names import registered_name
from charpipe.tracking.model_versions import MODEL_TAG


def download_champion(location: Location, wanted: str, folder: Path) -> Path:
    """Download the bundle of `champion:CORPUS` or `previous:CORPUS` from MLflow's registry, given only its URI.

    Returns a folder in `folder` whose files match the recorded sha256. Raises RunError if there is none, or if it
    differs from the record.
    """
    try:
        return _download(location, wanted, folder)
    except CharpipeError:
        raise
    except Exception as error:
        raise explain(error, location) from error


def _download(location: Location, wanted: str, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    reference = parse_reference(wanted)
    if reference is None:
        raise UsageError(f"{wanted!r} names no champion; type champion:CORPUS or previous:CORPUS")
    alias, corpus = reference
    client = connect(location)
    name = registered_name(client, corpus)
    try:
        version = client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        raise RunError(f"the MLflow at {location.shown} has no {alias} of {corpus!r} ({name})") from error
    expected = json.loads(version.tags.get(FILES_TAG, "{}"))
    target = folder / f"{file_name(name)}-{version.version}-{version.tags.get(MODEL_TAG, '')[:12]}"
    if target.is_dir() and digests(target) == expected:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        fetched = Path(
            download_artifacts(
                artifact_uri=f"{version.source.rstrip('/')}/artifacts/bundle",
                dst_path=temporary,
                tracking_uri=location.uri,
            )
        )
        if not expected or digests(fetched) != expected:
            raise RunError(
                f"the {alias} of {corpus} from {location.shown} does not match its recorded digest; nothing was kept"
            )
        shutil.rmtree(target, ignore_errors=True)
        fetched.rename(target)
    return target
