"""The name, note and tags of a run in MLflow: its run name and its tags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from charpipe.errors import CharpipeError, RunError
from charpipe.events import Listener, Notice
from charpipe.runs import Run
from charpipe.runs.annotations import Annotations, read_annotations
from charpipe.tracking import experiments
from charpipe.tracking.client import connect, explain
from charpipe.tracking.location import Location

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

NOTE, KEYS = "charpipe.note", "charpipe.tags"
WORD = "true"
"""The value in MLflow of a tag that has none."""


def publish_annotations(location: Location, run: Run, notify: Listener) -> None:
    """Write a run's name, note and tags to MLflow, if it knows the run. A failure becomes a notice."""
    if location.is_own and not (location.folder / "mlflow.db").is_file():
        return
    try:
        client = connect(location)
        remembered = run.status.mlflow
        known = remembered.get("run_id") if location.is_where(remembered) else None
        found = experiments.find_run(client, run.name, known)
        if found is not None:
            publish(client, run, found)
    except Exception as error:
        reason = explain(error, location) if not isinstance(error, CharpipeError) else error
        notify(
            Notice(
                f"{reason}; to complete MLflow later, type: charpipe runs sync {run.name}", level="warning"
            )
        )


def publish(client: MlflowClient, run: Run, found: Any) -> None:
    """Write what MLflow lacks of a run's name, note and tags, and remove tags that it no longer has. Raises MLflow's
    exceptions."""
    try:
        annotations = read_annotations(run.folder)
    except RunError:
        return
    run_id, there = found.info.run_id, found.data.tags
    if annotations.name is not None and found.info.run_name != annotations.name:
        client.update_run(run_id, name=annotations.name)
    wanted = _tags(annotations)
    for key in {*_keys(there), NOTE, KEYS} - wanted.keys():
        if key in there:
            client.delete_tag(run_id, key)
    for key, value in wanted.items():
        if there.get(key) != value:
            client.set_tag(run_id, key, value)


def _tags(annotations: Annotations) -> dict[str, str]:
    wanted = {key: value or WORD for key, value in annotations.tags.items()}
    if annotations.tags:
        wanted[KEYS] = json.dumps(sorted(annotations.tags))
    if annotations.note:
        wanted[NOTE] = annotations.note
    return wanted


def _keys(there: dict[str, str]) -> list[str]:
    """The tags that were written from here earlier."""
    try:
        keys = json.loads(there.get(KEYS, "[]"))
    except ValueError:
        return []
    return [str(key) for key in keys] if isinstance(keys, list) else []
