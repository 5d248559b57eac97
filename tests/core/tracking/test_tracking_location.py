from __future__ import annotations

from pathlib import Path

import pytest

from charpipe.errors import UsageError
from charpipe.tracking import TrackingConfig, locate


def test_the_workspace_is_the_default_and_always_explicit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlruns").mkdir()
    monkeypatch.chdir(tmp_path)
    place = locate(TrackingConfig(), Path("mlflow"), {})
    assert place.uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert place.artifacts == f"file://{tmp_path}/mlflow/artifacts"
    assert place.is_own
    assert place.notice is None


def test_the_users_variable_is_honoured_with_a_notice(tmp_path: Path) -> None:
    place = locate(TrackingConfig(), tmp_path, {"MLFLOW_TRACKING_URI": "http://ann:secret@example.org:5000/"})
    assert place.uri == "http://ann:secret@example.org:5000"
    assert place.is_server
    assert place.notice is not None
    assert "secret" not in place.notice + place.shown


def test_a_setting_comes_before_the_variable(tmp_path: Path) -> None:
    config = TrackingConfig(uri="postgresql+psycopg2://db/mlflow", artifacts="s3://bucket/here")
    place = locate(config, tmp_path, {"MLFLOW_TRACKING_URI": "http://elsewhere"})
    assert (place.uri, place.artifacts) == (config.uri, "s3://bucket/here")
    assert place.notice is None


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "sqlite:///relative.db", "databricks", ""])
def test_what_cannot_be_used_is_refused_by_name(uri: str, tmp_path: Path) -> None:
    if not uri:
        assert locate(TrackingConfig(), tmp_path, {"MLFLOW_TRACKING_URI": uri}).is_own
        return
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_URI"):
        locate(TrackingConfig(), tmp_path, {"MLFLOW_TRACKING_URI": uri})
