"""Handle a moved or copied workspace: MLflow stores artifact locations as absolute URIs, which are rewritten.

The MLflow folder records its own location in `place.json`; for a database of an older release, the location is
derived from its experiments' artifact locations. Only the database in this folder is changed, not the original of a
copy.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from charpipe.errors import StoreError
from charpipe.store.atomic import write_json
from charpipe.tracking.location import Location

PLACE = "place.json"
LOCK = "migration.lock"
LOCK_SECONDS = 60.0
TAIL = "/mlflow/artifacts"
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_move(location: Location) -> None:
    """Rewrite the artifact locations in our own database if the folder has moved. Call it under the database's lock."""
    here = (location.folder / "artifacts").as_uri()
    file = location.folder / PLACE
    known = _read(file)
    if known == here:
        return
    with closing(sqlite3.connect(location.folder / "mlflow.db", timeout=60)) as database, database:
        for old in {known} if known else set(_former(database)):
            if old != here:
                _rewrite(database, old, here)
        # MLflow creates its own empty experiment in ./mlruns of the working directory
        database.execute(
            "update experiments set artifact_location = ? "
            "where experiment_id = 0 and artifact_location like '%/mlruns/0'",
            (f"{here}/Default",),
        )
    write_json(file, {"artifacts": here})


def relocate(folder: Path) -> None:
    """Rewrite the artifact locations in the database of this MLflow folder if the workspace was moved since.

    Commands call it when they open a workspace, so that MLflow's own API and pages find everything, whatever the
    command does. It imports no MLflow; without a move it reads one small file. An error is left to the next command.
    """
    if not (folder / "mlflow.db").is_file() or _read(folder / PLACE) == (folder / "artifacts").as_uri():
        return
    with suppress(OSError, sqlite3.Error, Timeout, StoreError), FileLock(folder / LOCK, timeout=LOCK_SECONDS):
        follow_move(Location("", None, folder, "workspace"))


def _read(file: Path) -> str | None:
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["artifacts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _former(database: sqlite3.Connection) -> Iterator[str]:
    for (place,) in database.execute("select artifact_location from experiments"):
        base, found, _ = str(place).rpartition("/")
        if found and base.startswith("file:") and base.endswith(TAIL):
            yield base


def _rewrite(database: sqlite3.Connection, old: str, new: str) -> None:
    for table, column in COLUMNS:
        present = {row[1] for row in database.execute(f"pragma table_info({table})")}
        if column in present:
            database.execute(
                f"update {table} set {column} = ? || substr({column}, ?) "  # noqa: S608  our own names
                f"where substr({column}, 1, ?) = ?",
                (new, len(old) + 1, len(old) + 1, f"{old}/"),
            )
