"""A file beside a run in MLflow: pages about the run, which its artifact view shows."""

from __future__ import annotations

from pathlib import Path

from charpipe.errors import CharpipeError, RunError
from charpipe.tracking import experiments
from charpipe.tracking.client import connect, explain
from charpipe.tracking.location import Location


def attach(location: Location, run: str, file: Path, folder: str, run_id: str | None = None) -> str:
    """Log `file` as an artifact of the run of that name; returns its path there, such as `inspection/page.html`.

    Raises RunError where MLflow has no such run, CharpipeError where MLflow does not take part.
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
