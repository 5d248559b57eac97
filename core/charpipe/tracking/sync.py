"""Fill MLflow from a run's folder. Idempotent."""

from __future__ import annotations

from charpipe.errors import CharpipeError
from charpipe.events import Listener, Notice
from charpipe.runs import Run
from charpipe.tracking.client import explain
from charpipe.tracking.location import Location
from charpipe.tracking.upload import Upload


def sync(location: Location, run: Run, experiment: str | None = None) -> int:
    """Log what MLflow lacks of `run`; returns the number of metrics logged. Raises CharpipeError on failure."""
    upload = Upload(location, run, experiment)
    try:
        upload.open()
        added = upload.metrics()
        upload.samples()
        upload.close(run.status.state)
    except Exception as error:
        raise explain(error, location) from error
    run.update(mlflow=upload.ids)
    return added


def catch_up(location: Location, run: Run, notify: Listener, experiment: str | None = None) -> None:
    """Like `sync`, for scores added after training: an error becomes a notice and is never raised."""
    try:
        sync(location, run, experiment)
    except CharpipeError as error:
        notify(Notice(f"{error}; to complete it later, type: charpipe runs sync {run.name}", level="warning"))
