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


SHARED = ["postgresql://db.example.org/mlflow", "postgresql://127.0.0.1:55432/mlflow", "postgresql:///mlflow"]


@pytest.mark.parametrize("uri", [*SHARED, "postgresql+psycopg2://ann@[::1]/mlflow"])
def test_a_database_for_several_machines_needs_an_artifact_location(uri: str, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"MLFLOW_TRACKING_URI.*no place for models.*set \[tracking\] artifacts"
    ):
        locate(TrackingConfig(), tmp_path, {"MLFLOW_TRACKING_URI": uri})


@pytest.mark.parametrize("artifacts", ["file:///srv/mlflow", "/srv/mlflow", "mlflow", "C:\\mlflow"])
@pytest.mark.parametrize("host", ["db.example.org", "10.0.0.7:5432", "[fd00::7]:5432", "localhost,db2"])
def test_a_folder_beside_another_machines_database_is_refused(
    host: str, artifacts: str, tmp_path: Path
) -> None:
    config = TrackingConfig(uri=f"postgresql://{host}/mlflow", artifacts=artifacts)
    with pytest.raises(UsageError, match=r"a folder of this machine, but .* another machine's database"):
        locate(config, tmp_path, {})


def test_hosts_in_the_query_of_a_uri_count_too(tmp_path: Path) -> None:
    config = TrackingConfig(uri="postgresql:///mlflow?host=/run/postgresql,db2", artifacts="/srv/mlflow")
    with pytest.raises(UsageError, match="another machine's database"):
        locate(config, tmp_path, {})


@pytest.mark.parametrize(
    "uri", [*SHARED[1:], "postgresql:///mlflow?host=/run/postgresql", "postgresql://LOCALHOST/m"]
)
def test_a_database_of_this_machine_may_have_a_folder_for_artifacts(uri: str, tmp_path: Path) -> None:
    place = locate(TrackingConfig(uri=uri, artifacts="file:///srv/mlflow"), tmp_path, {})
    assert (place.uri, place.artifacts) == (uri, "file:///srv/mlflow")
    assert place.is_shared_database


def test_refusing_a_database_shows_no_password(tmp_path: Path) -> None:
    environ = {"MLFLOW_TRACKING_URI": "postgresql://ann:geheim@db.example.org/mlflow"}
    for artifacts in (None, "/srv/mlflow"):
        with pytest.raises(UsageError) as refused:
            locate(TrackingConfig(artifacts=artifacts), tmp_path, environ)
        assert "geheim" not in str(refused.value)


def test_a_missing_package_is_named_with_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "psycopg2" else object())
    config = TrackingConfig(uri=SHARED[0], artifacts="s3://bucket/mlflow")
    with pytest.raises(UsageError, match=r"psycopg2.*pip install 'charpipe\[cluster\]'"):
        locate(config, tmp_path, {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "boto3" else object())
    with pytest.raises(UsageError, match=r"s3://bucket/mlflow needs the package boto3"):
        locate(config, tmp_path, {})


def test_sqlite_needs_no_artifact_location(tmp_path: Path) -> None:
    place = locate(TrackingConfig(uri=f"sqlite:///{tmp_path}/elsewhere.db"), tmp_path / "mlflow", {})
    assert place.artifacts == (tmp_path / "mlflow" / "artifacts").as_uri()
    assert not place.is_shared_database
