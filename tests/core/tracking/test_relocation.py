"""A workspace that was moved or copied keeps its artifacts in MLflow."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from charpipe.tracking import TrackingConfig, locate
from charpipe.tracking.client import connect
from charpipe.tracking.experiments import ensure


def places(folder: Path) -> set[str]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        found = database.execute(
            "select artifact_uri from runs union select artifact_location from experiments"
        )
        return {place for (place,) in found}


def record(folder: Path, text: str) -> str:
    """Log a run with an artifact; returns its id."""
    location = locate(TrackingConfig(), folder, {})
    client = connect(location)
    run = client.create_run(ensure(client, "a b.txt", location))
    client.log_text(run.info.run_id, text, "note.txt")
    return str(run.info.run_id)


def read(folder: Path, run: str) -> str:
    client = connect(locate(TrackingConfig(), folder, {}))
    return Path(client.download_artifacts(run, "note.txt")).read_text()


def test_moved_workspace_reads_and_writes_at_its_new_place(tmp_path: Path) -> None:
    old, new = tmp_path / "ä old" / "mlflow", tmp_path / "new 100%" / "mlflow"
    first = record(old, "first")
    new.parent.mkdir()
    old.rename(new)
    old.parent.rmdir()
    assert read(new, first) == "first"
    second = record(new, "second")
    assert read(new, second) == "second"
    assert not old.parent.exists()


def test_copy_is_independent_of_its_original(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "mlflow", tmp_path / "new" / "mlflow"
    first = record(old, "first")
    before = places(old)
    shutil.copytree(old, new)
    record(new, "second")
    assert places(old) == before
    assert all(str(new) in place for place in places(new) if "a%20b" in place)
    assert read(new, first) == "first"


def test_workspace_of_an_earlier_release_is_moved_too(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "mlflow", tmp_path / "new" / "mlflow"
    first = record(old, "first")
    (old / "place.json").unlink()  # it was not written then
    new.parent.mkdir()
    old.rename(new)
    assert read(new, first) == "first"
    assert not old.exists()
