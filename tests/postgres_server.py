"""A PostgreSQL server of its own for a test module: a private folder, a free port on loopback, gone afterwards.

PostgreSQL refuses to run as root: there, it runs as the user `postgres` that its package makes.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

USER = "postgres"
NEEDED = ("initdb", "pg_ctl", "createdb", "psql")


class PostgresServer:
    """A server whose files are in `folder/data`, with the role `user`. `url(name)` is the URL of a database that nobody
    has used yet."""

    def __init__(self, programs: Path, folder: Path, data: str = "data", user: str = USER) -> None:
        self._programs, self._folder, self._data, self._user = programs, folder, folder / data, user
        self.port = free_port()

    def url(self, database: str, scheme: str = "postgresql+psycopg2") -> str:
        """Create a database and return its URL."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), database)
        return f"{scheme}://{self._user}@127.0.0.1:{self.port}/{database}"

    def query(self, database: str, sql: str) -> str:
        """What psql prints for a query, without titles."""
        return self._run(
            "psql", "-h", "127.0.0.1", "-p", str(self.port), "-d", database, "-tAc", sql
        ).stdout.strip()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self._folder}"
        log = self._folder / "log"
        self._run("pg_ctl", "-D", str(self._data), "-l", str(log), "-o", options, "-w", "start")

    def stop(self) -> None:
        """Stop it at once, as a lost machine does; `start` brings it back at the same address."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def create(self) -> None:
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", self._user, "-E", "UTF8", "--no-sync")

    def run_shell(self, text: str) -> None:
        """Run shell commands in the folder, with PostgreSQL's programs in PATH."""
        with (self._folder / "output").open("wb") as output:
            command = ["sh", "-ec", f"PATH={self._programs}:$PATH\n{text}"]
            done = self._execute(command, check=False, stdout=output, stderr=output)
        assert done.returncode == 0, (self._folder / "output").read_text()

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._programs / program), *arguments]
        if program in ("createdb", "psql"):
            command[1:1] = ["-U", self._user]
        # pg_ctl's server inherits the output: a pipe would be waited for until it ends
        output = subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE
        return self._execute(command, check=True, stdout=output, stderr=output)

    def _execute(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        if os.geteuid() == 0:
            command = ["su", USER, "-s", "/bin/sh", "-c", shlex.join(command)]
        return subprocess.run(command, cwd=self._folder, text=True, timeout=300, **options)


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def new_postgres(**options: str) -> Iterator[PostgresServer]:
    """A server that is not created yet, in a folder of its own; it is stopped afterwards if it runs. Skips, with a
    sentence, where PostgreSQL is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian, Ubuntu: apt install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="charpipe-pg-"))  # short: its socket's path has a limit
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        server = PostgresServer(programs, folder, **options)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A fresh server; skips, with a sentence, where PostgreSQL is not installed."""
    with new_postgres() as server:
        server.create()
        server.start()
        yield server


def _programs() -> Path | None:
    """The folder with PostgreSQL's programs: Debian keeps most of them out of PATH."""
    found = shutil.which("initdb")
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    folders += [Path(os.path.realpath(found)).parent] if found else []
    return next((one for one in folders if all((one / name).is_file() for name in NEEDED)), None)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server
