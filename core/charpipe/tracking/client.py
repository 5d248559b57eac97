"""Create an MLflow client for one explicit location, with MLflow's logging and telemetry off.

The first use of a database migrates its schema, and two processes that migrate at once corrupt it: the migration
holds a lock, that of a file, and for a database server one of the server's own.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from charpipe.errors import CharpipeError
from charpipe.store.secrets import redact
from charpipe.store.sqlite import database_url
from charpipe.tracking.file_uris import decode_exactly
from charpipe.tracking.location import Location
from charpipe.tracking.relocation import LOCK, follow_move
from charpipe.tracking.shared_database import migration_lock

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

FORCED = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
HONOURED = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_WORKSPACE",
    "MLFLOW_S3_ENDPOINT_URL",
    "MLFLOW_S3_IGNORE_TLS",
    "MLFLOW_S3_UPLOAD_EXTRA_ARGS",
)
"""Environment variables of the user that select an MLflow server and its login; docs/environment.md lists them."""
OWN = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the tracker retries by itself
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is the command's own
    "GIT_PYTHON_REFRESH": "quiet",
}
SERVER = ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION",)
"""Variables that charpipe's own server process sets for itself."""
BUSY_SECONDS = 30.0
"""How long a look at our own database waits for another process that writes."""
LOCK_SECONDS = 300.0
_HALF = 100
"""Characters of a long reason that are kept at its beginning, and at its end."""


def quiet_environment() -> None:
    """Set the environment variables that MLflow reads, before it is imported: of the user's variables, only those in
    HONOURED are kept."""
    for variable in [name for name in os.environ if name.upper().startswith("MLFLOW_")]:
        if variable not in HONOURED and variable not in SERVER:
            del os.environ[variable]
    os.environ.update(FORCED | OWN)
    loopback = "127.0.0.1,localhost"
    for variable in ("NO_PROXY", "no_proxy"):  # never use a proxy for this machine itself
        if loopback not in os.environ.get(variable, ""):
            os.environ[variable] = ",".join(filter(None, (os.environ.get(variable), loopback)))


def connect(location: Location) -> MlflowClient:
    """A client whose database exists and is migrated. Raises MLflow's exceptions if MLflow is unreachable."""
    quiet_environment()
    from mlflow.tracking import MlflowClient

    decode_exactly(location.artifacts)
    for name in (
        "mlflow",
        "alembic",
        "sqlalchemy",
        "urllib3",
    ):  # urllib3 reports each retry of MLflow's requests
        logging.getLogger(name).setLevel(logging.ERROR)
    if location.is_server:
        return MlflowClient(location.uri, location.uri)
    location.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(location.folder / LOCK, timeout=LOCK_SECONDS):
        if location.is_own:
            _make_whole(location.folder / "mlflow.db", location)
            _migrate(location.uri)
            follow_move(location)
        else:
            with migration_lock(location.uri) if location.is_shared_database else nullcontext():
                _make_schema(location.uri, location)
        client = MlflowClient(location.uri, location.uri)
        client.search_experiments(max_results=1)  # check that it answers
    return client


def _make_schema(uri: str, location: Location) -> None:
    """Create the schema if there is none. MLflow writes the artifact location of its first experiment into SQL
    verbatim: it gets our URI, in which quotes are escaped, instead of the working directory."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri, location.artifacts)


def _make_whole(path: Path, location: Location) -> None:
    """Create our own database in a temporary place and move it in one step, so that a kill or a full disk during
    schema creation leaves no database. A half-made one, which holds no run, is created again."""
    if path.is_file() and not _is_half_made(path):
        return
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    _make_schema(database_url(new), location)
    new.replace(path)


def _is_half_made(path: Path) -> bool:
    """Whether its schema is incomplete and it holds no run."""
    from mlflow.store.db import utils

    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as database:
            tables = {
                name for (name,) in database.execute("select name from sqlite_master where type = 'table'")
            }
            if "runs" in tables and database.execute("select 1 from runs limit 1").fetchone():
                return False
            if "alembic_version" not in tables:
                return True
            found = database.execute("select version_num from alembic_version").fetchone()
            return found is None or found[0] != utils._get_latest_schema_revision()
    except (sqlite3.Error, AttributeError):  # another MLflow version keeps these elsewhere
        return False


def _migrate(uri: str) -> None:
    """Migrate our own database, possibly from an older MLflow, to the schema of the installed MLflow."""
    from mlflow.store.db import utils
    from sqlalchemy import create_engine

    engine = create_engine(uri)
    try:
        if utils._all_tables_exist(engine) and _revision(engine) != utils._get_latest_schema_revision():
            utils._upgrade_db(engine)
    except AttributeError:  # another MLflow version keeps these elsewhere; it then says what to do
        return
    finally:
        engine.dispose()


def _revision(engine: object) -> str | None:
    from mlflow.store.db import utils

    return str(utils._get_schema_version(engine))


def explain(error: Exception, location: Location) -> CharpipeError:
    """Describe an MLflow error in one sentence, without its traceback."""
    if isinstance(error, CharpipeError):
        return error
    reason = redact(" ".join(str(error).split()) or type(error).__name__)
    if len(reason) > 2 * _HALF:  # what was asked for is said first, and the cause last
        reason = f"{reason[:_HALF]} ... {reason[-_HALF:]}"
    return CharpipeError(f"MLflow at {location.shown} is unavailable ({reason})")
