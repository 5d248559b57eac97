"""A workspace that was moved or copied keeps its artifacts in MLflow."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from charpipe.tracking import TrackingConfig, locate
from charpipe.tracking.client import connect
from charpipe.tracking.experiments import ensure
from charpipe.tracking.relocation import relocate


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


def register(folder: Path, content: str) -> None:
    """Log a model and register it as the champion of `m`."""
    location = locate(TrackingConfig(), folder, {})
    client = connect(location)
    experiment = ensure(client, "a b.txt", location)
    with_model = folder.parent / "model"
    with_model.mkdir()
    (with_model / "weights.txt").write_text(content)
    model = client.create_logged_model(experiment, name="bundle", model_type="charpipe")
    client.log_model_artifacts(model.model_id, str(with_model))
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model("m")
    version = client.create_model_version("m", model.artifact_location)
    client.set_registered_model_alias("m", "champion", version.version)


def test_mlflow_itself_finds_the_models_of_a_moved_workspace(tmp_path: Path) -> None:
    """Without charpipe's client: a command that has opened the workspace since is enough."""
    import mlflow

    old, new = tmp_path / "old" / "mlflow", tmp_path / "new ä" / "mlflow"
    register(old, "of the champion")
    new.parent.mkdir()
    old.rename(new)
    relocate(new)
    uri = locate(TrackingConfig(), new, {}).uri
    client = mlflow.MlflowClient(uri, uri)
    version = client.get_model_version_by_alias("m", "champion")
    place = client.get_model_version_download_uri("m", version.version)
    found = mlflow.artifacts.download_artifacts(
        f"{place}/weights.txt", dst_path=str(tmp_path), tracking_uri=uri
    )
    assert Path(found).read_text() == "of the champion"
    (model,) = client.search_logged_models(["1"])
    assert model.artifact_location.startswith(new.as_uri())


def test_relocation_of_what_was_not_moved_changes_nothing(tmp_path: Path) -> None:
    record(tmp_path / "mlflow", "first")
    before = (tmp_path / "mlflow" / "mlflow.db").stat().st_mtime_ns
    relocate(tmp_path / "mlflow")
    relocate(tmp_path / "none")
    assert (tmp_path / "mlflow" / "mlflow.db").stat().st_mtime_ns == before
    assert not (tmp_path / "none").exists()
