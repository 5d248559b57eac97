"""Databases that tests begin with: Prefect migrates a new one in several seconds of processor time, longer than most
tests. They are made once, and each test or module that needs one copies it.

`tests/e2e/test_main_job.py` and `tests/e2e/test_awkward_names.py` begin with none, as a user does.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from charpipe.workspace import Workspace
from charpipe_pipelines.server import managed_server

KEPT = ("prefect.db", "memo_store.toml")
"""The database, and Prefect's note of which block types it has."""


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder that `make(folder)` fills: once for all processes that run tests together."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    made, unfinished = base / name, base / f"{name}-unfinished"
    with FileLock(base / f"{name}.lock"):
        if not made.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(made)
    return made


def make_prefect(folder: Path) -> None:
    """Let a Prefect server make its database, and stop it."""
    workspace = Workspace(folder / "workspace")
    server = managed_server(workspace)
    server.start()
    server.stop()
    with closing(sqlite3.connect(workspace.prefect / "prefect.db")) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    for name in KEPT:
        shutil.copy(workspace.prefect / name, folder)
    shutil.rmtree(workspace.root)
