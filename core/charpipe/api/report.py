"""Write a run's report to a file and to the run's artifacts in MLflow."""

from __future__ import annotations

from pathlib import Path

from charpipe.api.pipelines import open_runs
from charpipe.config import load_config
from charpipe.config.files import find_project_file
from charpipe.config.load import Resolved
from charpipe.errors import CharpipeError, UsageError
from charpipe.reports.report import report as page_of
from charpipe.runs import Run
from charpipe.store.atomic import write_text
from charpipe.tracking import locate
from charpipe.tracking.attachments import attach
from charpipe.workspace import find_workspace

FILE, FOLDER = "report.html", "report"


def report(run: str = "last", output: str | Path | None = None) -> Path:
    """Write the report of a run (its name, a unique prefix of it, `last`, `best:CORPUS`...) and return its path.

    The report is one self-contained HTML page, by default in the run's folder. It is also logged to the run's
    artifacts in MLflow if the run is tracked. Raises CharpipeError.
    """
    return write(run, output, load_config())[0]


def write(run: str, output: str | Path | None, resolved: Resolved) -> tuple[Path, str | None]:
    """Like `report`; also returns the reason if the page could not be logged to MLflow."""
    workspace = find_workspace(find_project_file())
    found = open_runs(resolved).find(run, use="model")
    place = Path(output).expanduser() if output is not None else found.folder / FILE
    if place.is_dir():
        place /= f"{found.name}.html"
    page = page_of(found)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, page)
    except OSError as error:
        raise UsageError(f"{place} cannot be written ({error.strerror}); give another --output") from error
    return place, _attach(found, place, resolved, workspace.mlflow)


def _attach(run: Run, page: Path, resolved: Resolved, folder: Path) -> str | None:
    """Log the page to the run in MLflow if it is tracked; returns a message if that fails."""
    tracking = resolved.config.tracking
    ids = run.status.mlflow
    if not tracking.enabled or not ids.get("run_id"):
        return None
    location = locate(tracking, folder)
    if not location.is_where(ids):
        return None
    try:
        attach(location, run.name, page, FOLDER, ids["run_id"])
    except CharpipeError as error:
        return str(error)
    return None
