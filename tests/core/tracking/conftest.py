"""Runs to track, and places to track them in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from recorded_runs import history, make_run

from charpipe.runs import Recorder, Run
from charpipe.tracking import Location, TrackingConfig, locate


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "runs")


@pytest.fixture
def finished_run(run: Run) -> Run:
    recorder = Recorder(run)
    for event in history(run):
        recorder(event)
    return run


@pytest.fixture
def config() -> TrackingConfig:
    return TrackingConfig(interval=0.1, patience=60)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A fresh MLflow database: migrating one takes seconds, so tests start from a copy."""
    from charpipe.tracking.client import connect

    place = locate(TrackingConfig(), tmp_path_factory.mktemp("mlflow"), {})
    connect(place)
    return (place.folder / "mlflow.db").read_bytes()


@pytest.fixture
def make_location(migrated: bytes) -> Callable[[Path], Location]:
    def make(folder: Path) -> Location:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mlflow.db").write_bytes(migrated)
        return locate(TrackingConfig(), folder, {})

    return make


@pytest.fixture
def location(tmp_path: Path, make_location: Callable[[Path], Location]) -> Location:
    return make_location(tmp_path / "mlflow")
