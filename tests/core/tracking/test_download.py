from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from recorded_runs import NAME, history, make_run

from charpipe.errors import RunError, UsageError
from charpipe.runs import Recorder, Run
from charpipe.servers.managed import STATE
from charpipe.tracking import Location, TrackingConfig, locate
from charpipe.tracking.download import download_model
from charpipe.tracking.pages import base_url, experiment_link, link, mlflow_server
from charpipe.tracking.sync import sync


@pytest.fixture
def server(tmp_path: Path, make_location: Callable[[Path], Location]) -> Iterator[Location]:
    """A real MLflow server over a database in another folder."""
    elsewhere = make_location(tmp_path / "team")
    managed = mlflow_server(elsewhere, tmp_path / "logs")
    yield Location(managed.start(), None, tmp_path / "here" / "mlflow", "[tracking] uri")
    managed.stop()


@pytest.mark.e2e
def test_a_model_comes_back_from_the_tracking_uri_alone(
    server: Location, finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(server, finished_run)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    there = locate(TrackingConfig(uri=server.uri), tmp_path / "other machine" / "mlflow", {})
    best = download_model(there, NAME, tmp_path / "models")
    last = download_model(there, NAME[:20], tmp_path / "models", which="last")
    by_id = download_model(there, finished_run.status.mlflow["run_id"], tmp_path / "models")
    assert by_id == best
    assert {path.name for path in best.iterdir()} == {"model.safetensors", "config.json", "vocabulary.json"}
    assert (best / "model.safetensors").read_bytes().endswith(b"10")
    assert (last / "model.safetensors").read_bytes().endswith(b"20")
    assert not list((tmp_path / "cwd").iterdir())


@pytest.mark.e2e
def test_the_server_is_on_loopback_with_telemetry_off_and_its_links_lead_to_the_runs(
    location: Location, finished_run: Run, tmp_path: Path
) -> None:
    sync(location, finished_run)
    managed = mlflow_server(location, tmp_path / "logs")
    try:
        base = base_url(location, tmp_path / "logs")
        pid = json.loads((managed.folder / STATE).read_text())["pid"]
        listening = [c.laddr.ip for c in psutil.Process(pid).net_connections() if c.status == "LISTEN"]
        assert set(listening) == {"127.0.0.1"}
        with urllib.request.urlopen(f"{base}/ajax-api/3.0/mlflow/ui-telemetry") as response:
            assert json.load(response)["disable_ui_telemetry"] is True
        ids = finished_run.status.mlflow
        assert f"/#/experiments/{ids['experiment_id']}/runs/{ids['run_id']}?" in link(base, finished_run)
        assert experiment_link(base, finished_run).startswith(
            f"{base}/#/experiments/{ids['experiment_id']}/runs"
        )
        with urllib.request.urlopen(base) as response:
            assert response.status == 200
    finally:
        managed.stop()


def test_what_is_not_there_is_said(location: Location, finished_run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run 'nope'"):
        download_model(location, "nope", tmp_path)
    other = make_run(tmp_path / "runs", NAME[:-1] + "b")
    for event in history(other):
        Recorder(other)(event)
    sync(location, finished_run)
    sync(location, other)
    with pytest.raises(UsageError, match="is a prefix of the names of 2 runs"):
        download_model(location, NAME[:10], tmp_path)


def test_a_model_that_was_tampered_with_is_not_kept(
    location: Location, finished_run: Run, tmp_path: Path
) -> None:
    sync(location, finished_run)
    for weights in location.folder.rglob("model.safetensors"):
        weights.write_bytes(b"something else")
    with pytest.raises(RunError, match="does not match its recorded digest"):
        download_model(location, NAME, tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())
