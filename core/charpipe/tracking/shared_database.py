"""A database server that several machines track to: what its URI needs, and who migrates it.

Every machine must reach the artifacts as well, so an artifact location is needed, and a folder of one machine is
refused. The first use creates MLflow's schema; clients on several machines do it one after another, under a lock of
the database itself.
"""

from __future__ import annotations

import importlib.util
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qs, urlsplit

from charpipe.errors import CharpipeError, UsageError
from charpipe.store.secrets import redact, without_secret

SCHEMES = ("postgresql", "mysql", "mssql")
EXTRA = "charpipe[cluster]"
DRIVERS = {
    "postgresql": ("psycopg2", EXTRA),
    "postgresql+psycopg2": ("psycopg2", EXTRA),
    "postgresql+psycopg": ("psycopg", "psycopg"),
    "mysql": ("MySQLdb", "mysqlclient"),
    "mysql+mysqldb": ("MySQLdb", "mysqlclient"),
    "mysql+pymysql": ("pymysql", "pymysql"),
    "mssql": ("pyodbc", "pyodbc"),
    "mssql+pyodbc": ("pyodbc", "pyodbc"),
}
"""By scheme: the module that talks to the database, and what to install for it."""
STORAGE = {"s3": ("boto3", EXTRA)}
"""By scheme of the artifact location: the module that MLflow uses for it, and what to install."""
LOOPBACK = ("", "localhost", "127.0.0.1", "::1")
CONNECT_SECONDS = 20
LOCK_SECONDS = 300
LOCK_NAME = "charpipe.mlflow.migration"


def check_shared(uri: str, artifacts: str | None, origin: str) -> str:
    """The artifact location of a shared database. Raises UsageError where there is none that all machines reach, and
    where a package that the database or the location needs is not installed."""
    _need(DRIVERS.get(urlsplit(uri).scheme), f"the database {_shown(uri)} (from {origin})")
    if artifacts is None:
        raise UsageError(
            f"{_shown(uri)} (from {origin}) is a database for several machines, and has no place for models that all "
            f"of them reach; {_ADVICE}"
        )
    if is_local_folder(artifacts) and not is_on_this_machine(uri):
        raise UsageError(
            f"[tracking] artifacts is {artifacts}, a folder of this machine, but {_shown(uri)} (from {origin}) is "
            f"another machine's database, whose other users do not reach it; {_ADVICE}"
        )
    _need(STORAGE.get(urlsplit(artifacts).scheme), f"the artifact location {artifacts}")
    return artifacts


_ADVICE = (
    'set [tracking] artifacts, as in artifacts = "s3://BUCKET/mlflow", or set [tracking] uri to the http(s) address '
    "of an MLflow server"
)


def is_local_folder(artifacts: str) -> bool:
    """Whether an artifact location is a folder of the machine that reads it: a file's URI or a plain path."""
    scheme = urlsplit(artifacts).scheme
    return scheme in ("", "file") or len(scheme) == 1  # C:\folder


def is_on_this_machine(uri: str) -> bool:
    """Whether a database's URI names only this machine: loopback, or a socket in the file system."""
    parts = urlsplit(uri)
    query = parse_qs(parts.query)
    named = [
        host for key in ("host", "hostaddr") for value in query.get(key, []) for host in value.split(",")
    ]
    place = parts.netloc.rpartition("@")[2]
    hosts = [*named, *(_host(one) for one in place.split(","))]
    return all(host in LOOPBACK or host.startswith("/") for host in hosts)


def _host(place: str) -> str:
    """The host of `host:port` or `[host]:port`."""
    if place.startswith("["):
        return place[1:].partition("]")[0].lower()
    return place.partition(":")[0].lower()


@contextmanager
def migration_lock(uri: str) -> Iterator[None]:
    """Hold the lock under which the schema of this database is made, so that clients on several machines do it one
    after another. The server frees it when the connection ends, however its process ends.

    Raises CharpipeError where the database has the schema of another MLflow version: a shared one is never migrated
    by the way, since that would lock out the clients of all others.
    """
    from sqlalchemy import create_engine, pool

    engine = create_engine(uri, poolclass=pool.NullPool, connect_args=_connect_args(uri))
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _lock(connection)
            _check_schema(engine, uri)
            yield
    finally:
        engine.dispose()


@dataclass(frozen=True)
class DatabaseState:
    """A database server as found: its name and version, what schema the database has, and by how many seconds its
    clock is ahead of ours."""

    server: str
    schema: str
    ahead: float


def inspect_database(uri: str, seconds: float) -> DatabaseState:
    """The state of a shared database; nothing in it is changed. Raises CharpipeError where it cannot be used."""
    from sqlalchemy import create_engine, pool, text
    from sqlalchemy.exc import SQLAlchemyError

    engine = create_engine(uri, poolclass=pool.NullPool, connect_args=_connect_args(uri, seconds))
    try:
        with engine.connect() as connection:
            before = time.time()
            epoch: Any = connection.execute(text(_EPOCH[connection.dialect.name])).scalar()
            ahead = float(epoch) - (before + time.time()) / 2
            found = getattr(connection.dialect, "server_version_info", None) or ()
            server = f"{connection.dialect.name} {'.'.join(map(str, found))}"
        _check_schema(engine, uri)
        empty = "experiments" not in _tables(engine)
        return DatabaseState(server, "no schema yet" if empty else "the schema of this MLflow", ahead)
    except SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise CharpipeError(redact(reason)[:200]) from error
    finally:
        engine.dispose()


_EPOCH = {
    "postgresql": "select extract(epoch from clock_timestamp())",
    "mysql": "select unix_timestamp(now(6))",
    "mariadb": "select unix_timestamp(now(6))",
    "mssql": "select datediff_big(millisecond, '1970-01-01', sysutcdatetime()) / 1000.0",
}


def _tables(engine: Any) -> list[str]:
    from sqlalchemy import inspect

    return list(inspect(engine).get_table_names())


def _lock(connection: Any) -> None:
    """Take the lock of this connection's database; MLflow's other databases have no such lock."""
    from sqlalchemy import text

    name = connection.dialect.name
    if name == "postgresql":
        connection.execute(text(f"set lock_timeout = '{LOCK_SECONDS}s'"))
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": zlib.crc32(LOCK_NAME.encode())})
    elif name in ("mysql", "mariadb"):
        taken = connection.execute(
            text("select get_lock(:name, :seconds)"), {"name": LOCK_NAME, "seconds": LOCK_SECONDS}
        ).scalar()
        if not taken:
            raise CharpipeError(f"another client has been migrating this database for {LOCK_SECONDS} s")


def _check_schema(engine: Any, uri: str) -> None:
    try:
        found, expected, known, own = _revisions(engine)
    except (
        AttributeError,
        ImportError,
    ):  # another MLflow version keeps these elsewhere; it checks for itself
        return
    if found in (None, expected):  # None: it is empty, or its making was cut off
        return
    if not own:
        raise CharpipeError(
            f"the database {_shown(uri)} belongs to another program, and nothing in it was changed; create one for "
            "MLflow alone, as in: createdb mlflow"
        )
    age, then = "a newer", "install the MLflow version that its other users have"
    if found in known:
        age, then = (
            "an older",
            f"to migrate it for everybody, back it up and type: mlflow db upgrade {_shown(uri)}",
        )
    raise CharpipeError(
        f"the database {_shown(uri)} has the schema of {age} MLflow ({found}; the one installed here, "
        f"{version('mlflow')}, needs {expected}), and nothing in it was changed; {then}"
    )


def _revisions(engine: Any) -> tuple[str | None, str, set[str], bool]:
    """The schema's revision in the database, the one that the installed MLflow needs, all that it knows, and whether
    the tables are MLflow's."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils

    scripts = ScriptDirectory.from_config(utils._get_alembic_config(""))
    own = "experiments" in _tables(engine)
    known = {script.revision for script in scripts.walk_revisions()}
    return utils._get_schema_version(engine), utils._get_latest_schema_revision(), known, own


def _connect_args(uri: str, seconds: float = CONNECT_SECONDS) -> dict[str, Any]:
    """A limit for reaching the server, for the drivers that take it by this name."""
    module = DRIVERS.get(urlsplit(uri).scheme, ("",))[0]
    limited = module in ("psycopg2", "psycopg", "pymysql", "MySQLdb")
    return {"connect_timeout": max(1, round(seconds))} if limited else {}


def _need(package: tuple[str, str] | None, subject: str) -> None:
    if package is not None and importlib.util.find_spec(package[0]) is None:
        raise UsageError(
            f"{subject} needs the package {package[0]}, which is not installed; type: pip install '{package[1]}'"
        )


def _shown(uri: str) -> str:
    return redact(without_secret(uri))
