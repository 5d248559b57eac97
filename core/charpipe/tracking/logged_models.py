"""Log a run's best and last checkpoint as MLflow LoggedModels, in charpipe's own format.

A bundle is safetensors and JSON only: no code is stored, and none is executed on download.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charpipe.runs import Run
from charpipe.store.digest import digest_of_file
from charpipe.tracking.metadata import RUN_TAG
from charpipe.tracking.tail import Tail

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient

ROLE_TAG, STEP_TAG, FILES_TAG = "charpipe.checkpoint", "charpipe.step", "charpipe.files"
BUNDLE = ("model.safetensors", "config.json", "vocabulary.json")
ROLES = ("best", "last")


def log_checkpoints(client: MlflowClient, run: Run, experiment_id: str, run_id: str) -> None:
    """Update the run's LoggedModels to its best and its last checkpoint, each with the metrics of its step."""
    status = run.status
    there = of_run(client, experiment_id, run_id)
    for role, entry in (("best", status.best), ("last", status.last)):
        if entry is None:
            continue
        model = there.get(role)
        if model is None or model.tags.get(STEP_TAG) != str(entry["step"]):
            folder = run.folder / entry["path"]
            if not folder.is_dir():
                continue
            fresh = _log(client, run, role, int(entry["step"]), folder, experiment_id, run_id)
            if model is not None:
                client.delete_logged_model(model.model_id)
            model = fresh
        _log_metrics(client, run, model, int(entry["step"]), run_id)


def of_run(client: MlflowClient, experiment_id: str, run_id: str) -> dict[str, LoggedModel]:
    """The finished models of a run by role, "best" and "last"."""
    found = client.search_logged_models([experiment_id], filter_string=f"source_run_id = '{run_id}'")
    return {
        model.tags[ROLE_TAG]: model
        for model in sorted(found, key=lambda model: model.creation_timestamp)
        if model.tags.get(ROLE_TAG) in ROLES and str(model.status) in ("READY", "LoggedModelStatus.READY")
    }


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of each file of a bundle."""
    return {path.name: digest_of_file(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _log(
    client: MlflowClient, run: Run, role: str, step: int, folder: Path, experiment_id: str, run_id: str
) -> LoggedModel:
    from mlflow.entities import LoggedModelOutput

    with tempfile.TemporaryDirectory() as temporary:
        bundle = Path(temporary) / "model"
        bundle.mkdir()
        for name in BUNDLE:
            source = folder / name if (folder / name).is_file() else run.folder / name
            if source.is_file():
                shutil.copyfile(source, bundle / name)
        tags = {
            RUN_TAG: run.name,
            ROLE_TAG: role,
            STEP_TAG: str(step),
            FILES_TAG: json.dumps(digests(bundle)),
        }
        info = run.info
        model = client.create_logged_model(
            experiment_id,
            name=f"{run.name}-{role}".replace(".", "_"),
            source_run_id=run_id,
            tags=tags,
            params={"arch": info.architecture, "step": str(step)}
            | {key: str(value) for key, value in info.architecture_config.items() if value is not None},
            model_type="charpipe",
        )
        try:
            client.log_model_artifacts(model.model_id, str(bundle))
        except Exception:
            client.finalize_logged_model(model.model_id, "FAILED")
            raise
    ready = client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
    return ready


def _log_metrics(client: MlflowClient, run: Run, model: LoggedModel, step: int, run_id: str) -> None:
    from mlflow.entities import Metric

    known = {metric.key for metric in model.metrics or []}
    wanted: dict[str, tuple[float, int]] = {}
    for line in Tail(run.metrics_file).lines():
        if line["step"] == step:
            time = int(float(line.get("time", 0)) * 1000)
            wanted |= {key: (float(value), time) for key, value in line.items() if _is_score(key, value)}
    new: list[Any] = [
        Metric(key, value, time, step, model_id=model.model_id)
        for key, (value, time) in wanted.items()
        if key not in known
    ]
    if new:
        client.log_batch(run_id, metrics=new)


def _is_score(key: str, value: Any) -> bool:
    return "/" in key and not isinstance(value, str)
