"""Writing a run's report, as a file and among the run's artifacts in MLflow."""

from __future__ import annotations

from pathlib import Path

from charpipe.config import load_config
from charpipe.config.files import find_project_file
from charpipe.config.load import Resolved
from charpipe.errors import CharpipeError, UsageError
from charpipe.reports.report import report as page_of
from charpipe.runs import Run, find_run
from charpipe.store.atomic import write_text
from charpipe.workspace import find_workspace

FILE, FOLDER = "report.html", "report"


def report(run: str = "last", output: str | Path | None = None) -> Path:
    """Write the report of a run (its name, a unique beginning of it, `last`, `best:CORPUS`...) and return its file.

    Without `output` it lies in the run's folder. It is one HTML page that carries all it shows. It is kept among the
    run's artifacts in MLflow too, where the run is tracked. Raises CharpipeError.
    """
    return write(run, output, load_config())[0]


def write(run: str, output: str | Path | None, resolved: Resolved) -> tuple[Path, str | None]:
    """As `report`; also says why MLflow did not get it, where it did not."""
    workspace = find_workspace(find_project_file())
    found = find_run(workspace.runs, run, use="model")
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
    """Keep the page with the run in MLflow, where it is tracked; what went wrong there, in a sentence."""
    tracking = resolved.config.tracking
    ids = run.status.mlflow
    if not tracking.enabled or not ids.get("run_id"):
        return None
    from charpipe.tracking import locate
    from charpipe.tracking.attachments import attach

    location = locate(tracking, folder)
    if not location.is_where(ids):
        return None
    try:
        attach(location, run.name, page, FOLDER, ids["run_id"])
    except CharpipeError as error:
        return str(error)
    return None
