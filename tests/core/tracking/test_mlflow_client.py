from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from charpipe.tracking import Location, TrackingConfig, locate
from charpipe.tracking.client import connect, explain
from waiting import LIMIT

EIGHT = """
import os, sys
from pathlib import Path
from charpipe.tracking import TrackingConfig, experiments, locate
from charpipe.tracking.client import connect
import mlflow.tracking, mlflow.store.db.utils  # once for all eight

children = []
for _ in range(8):
    child = os.fork()
    if child == 0:
        place = locate(TrackingConfig(), Path(sys.argv[1]), {})
        print(experiments.ensure(connect(place), "hello", place), flush=True)
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@pytest.mark.e2e
def test_eight_processes_may_use_a_fresh_workspace_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EIGHT, str(tmp_path / "mlflow")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [done.stdout.split()[0]] * 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow"]


def test_a_stray_mlruns_and_the_users_variable_do_not_lead_us_astray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: Location
) -> None:
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    place = location
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere.db")
    experiment = connect(place).create_experiment("x", artifact_location=place.artifacts)
    assert connect(place).get_experiment(experiment).artifact_location.startswith("file:///")
    assert not (tmp_path / "elsewhere.db").exists()
    assert not list((tmp_path / "mlruns" / "0").iterdir())


def test_telemetry_is_off(location: Location) -> None:
    connect(location)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


def test_a_database_whose_making_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    place = locate(TrackingConfig(), tmp_path / "mlflow", {})
    connect(place)
    path = tmp_path / "mlflow" / "mlflow.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("drop table trace_tags")
        database.execute("update alembic_version set version_num = 'cut off'")
    program = (
        "import sys; from pathlib import Path; from charpipe.tracking import TrackingConfig, locate; "
        "from charpipe.tracking.client import connect; "
        "connect(locate(TrackingConfig(), Path(sys.argv[1]), {})).create_experiment('x')"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "mlflow")], check=True, cwd=tmp_path)
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("select count(*) from trace_tags").fetchone() == (0,)
        assert database.execute("select count(*) from experiments where name = 'x'").fetchone() == (1,)


def test_a_database_is_made_in_a_working_directory_with_quotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / 'it\'s "q" :x'
    place.mkdir()
    monkeypatch.chdir(place)
    location = locate(TrackingConfig(), place / "mlflow", {})
    default = connect(location).get_experiment("0")
    assert default.artifact_location == f"{location.artifacts}/0"
    assert sorted(path.name for path in place.iterdir()) == ["mlflow"]


def test_a_long_reason_keeps_its_cause_and_no_password(tmp_path: Path) -> None:
    place = Location("http://127.0.0.1:9", None, tmp_path / "mlflow", "[tracking] uri")
    address = "https://user:secret@example.org/"
    asked = f"{'API request to ' * 6}{address} failed: {'x' * 300} (Caused by too many 500 error responses)"
    said = str(explain(RuntimeError(asked), place))
    assert "API request to" in said and said.endswith("too many 500 error responses))")
    assert len(said) < 300 and "secret" not in said and "user:" not in said
