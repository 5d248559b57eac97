"""A page is an artifact of its run in a real MLflow, or there is a sentence that says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from charpipe.errors import CharpipeError, RunError
from charpipe.tracking import TrackingConfig, locate
from charpipe.tracking.attachments import attach
from charpipe.tracking.client import connect
from charpipe.tracking.upload import Upload

from recorded_runs import make_run  # isort: skip


def test_a_page_lies_among_the_runs_artifacts(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    location = locate(TrackingConfig(), tmp_path / "mlflow", {})
    upload = Upload(location, run)
    upload.open()
    file = tmp_path / "page.html"
    file.write_text("<p>ü", encoding="utf-8")
    for _ in range(2):
        assert attach(location, run.name, file, "inspection", upload.run_id) == "inspection/page.html"
    found = connect(location).list_artifacts(upload.run_id, "inspection")
    assert [artifact.path for artifact in found] == ["inspection/page.html"]
    with pytest.raises(RunError, match="has no run another; type: charpipe runs sync another"):
        attach(location, "another", file, "inspection")


def test_an_mlflow_that_is_away_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = locate(TrackingConfig(uri="http://127.0.0.1:9"), tmp_path / "mlflow", {})
    with pytest.raises(CharpipeError, match=r"is unavailable \(.*\)$"):
        attach(away, "any", tmp_path / "page.html", "inspection")
