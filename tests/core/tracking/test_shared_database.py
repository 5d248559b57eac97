"""MLflow in a real PostgreSQL database that several machines use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from charpipe.errors import CharpipeError
from charpipe.runs import Run
from charpipe.tracking import Location, TrackingConfig, locate
from charpipe.tracking.client import connect
from charpipe.tracking.sync import sync
from postgres_server import PostgresServer, postgres
from waiting import LIMIT

__all__ = ["postgres"]
pytestmark = pytest.mark.cluster

EIGHT = """
import os, sys
from pathlib import Path
from charpipe.tracking import TrackingConfig, experiments, locate
from charpipe.tracking.client import connect
import mlflow.tracking, mlflow.store.db.utils  # once for all eight

children = []
for number in range(8):
    child = os.fork()
    if child == 0:
        machine = Path(sys.argv[2]) / f"machine-{number}"
        (machine / "tmp").mkdir(parents=True)
        os.environ["TMPDIR"] = str(machine / "tmp")  # MLflow's own lock is a file there: of one machine only
        environ = {"MLFLOW_TRACKING_URI": sys.argv[1]}
        place = locate(TrackingConfig(artifacts="/srv/mlflow"), machine / "mlflow", environ)
        print(experiments.ensure(connect(place), "hello", place), flush=True)
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def shared(url: str, folder: Path) -> Location:
    config = TrackingConfig(artifacts=str(folder / "artifacts"))
    return locate(config, folder / "mlflow", {"MLFLOW_TRACKING_URI": url})


def test_eight_machines_may_use_a_fresh_database_at_once(postgres: PostgresServer, tmp_path: Path) -> None:
    command = [sys.executable, "-c", EIGHT, postgres.url("eight"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [done.stdout.split()[0]] * 8


def test_a_run_is_logged_with_its_models(postgres: PostgresServer, tmp_path: Path, finished_run: Run) -> None:
    place = shared(postgres.url("run"), tmp_path)
    assert sync(place, finished_run) > 0
    assert sync(place, finished_run) == 0  # twice is the same as once
    found = connect(place).get_experiment_by_name("hello")
    assert found.artifact_location.startswith(str(tmp_path / "artifacts"))


def test_a_schema_of_another_mlflow_is_refused_and_left_alone(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.url("versions")
    connect(shared(url, tmp_path))
    for revision, sentence in (
        ("cfd24bdc0731", "schema of an older MLflow .* type: mlflow db upgrade postgresql"),
        ("ffffffffffff", "schema of a newer MLflow .* install the MLflow version that its other users have"),
    ):
        postgres.query("versions", f"update alembic_version set version_num = '{revision}'")
        postgres.query(
            "versions", "drop table if exists trace_tags"
        )  # MLflow would then migrate it by itself
        with pytest.raises(CharpipeError, match=sentence):
            connect(shared(url, tmp_path))
        assert postgres.query("versions", "select version_num from alembic_version") == revision


def test_the_database_of_another_program_is_refused(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.url("theirs")
    postgres.query("theirs", "create table alembic_version (version_num varchar)")
    postgres.query("theirs", "insert into alembic_version values ('abc')")
    with pytest.raises(CharpipeError, match="belongs to another program, and nothing in it was changed"):
        connect(shared(url, tmp_path))
    assert (
        postgres.query(
            "theirs", "select count(*) from information_schema.tables where table_schema = 'public'"
        )
        == "1"
    )


def test_a_client_killed_while_it_migrates_frees_the_lock(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.url("killed")
    program = (
        "import os, sys\n"
        "from charpipe.tracking.shared_database import migration_lock\n"
        "with migration_lock(sys.argv[1]):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    held = "select count(*) from pg_locks where locktype = 'advisory' and granted"
    assert postgres.query("killed", held) == "1"
    holder.kill()
    holder.communicate()
    connect(shared(url, tmp_path))  # it would wait for the lock
    assert postgres.query("killed", held) == "0"
