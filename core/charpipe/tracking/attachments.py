"""Attach files to a run in MLflow: pages about the run, shown in its artifact view."""

from __future__ import annotations

from pathlib import Path

from charpipe.errors import CharpipeError, RunError
from charpipe.tracking import experiments
from charpipe.tracking.client import connect, explain
from charpipe.tracking.location import Location


def attach(location: Location, run: str, file: Path, folder: str, run_id: str | None = None) -> str:
    """Log `file` as an artifact of the run with that name; returns its artifact path, such as `inspection/page.html`.

    Raises RunError if MLflow has no such run, CharpipeError if MLflow fails.
    """
    try:
        client = connect(location)
        found = experiments.find_run(client, run, run_id)
        if found is not None:
            client.log_artifact(found.info.run_id, str(file), folder)
    except CharpipeError:
        raise
    except Exception as error:
        raise explain(error, location) from error
    if found is None:
        raise RunError(f"the MLflow at {location.shown} has no run {run}; type: charpipe runs sync {run}")
    return f"{folder}/{file.name}"
