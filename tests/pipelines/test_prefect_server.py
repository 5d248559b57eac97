from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from answering_server import answering
from charpipe.events import Notice
from charpipe.servers.managed import STATE
from charpipe.workspace import Workspace
from charpipe_pipelines.server import Api, choose


@pytest.mark.e2e
def test_the_server_is_private(server: Any) -> None:
    settings = server.ask("/admin/settings")
    assert settings["server"]["analytics_enabled"] is False
    pid = json.loads((server.managed.folder / STATE).read_text())["pid"]
    process = psutil.Process(pid)
    listening = [c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"]
    assert set(listening) == {"127.0.0.1"}
    databases = {file.path for file in process.open_files() if file.path.endswith(".db")}
    assert databases == {os.path.realpath(server.workspace.prefect / "prefect.db")}


def test_a_server_without_its_database_does_not_answer() -> None:
    for answers, there in (
        ({"/health": (200, "true"), "/ready": (200, "")}, True),
        ({"/health": (200, "true"), "/ready": (503, "")}, False),
        ({"/health": (200, "true")}, True),  # not every API has the path
        ({}, False),
    ):
        with answering(answers) as url:
            assert Api(url, None).is_there() is there


def test_whose_server_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Any) -> None:
    workspace = Workspace(tmp_path)
    assert choose(workspace, None, heard).server is not None
    assert choose(workspace, "http://team:4200/api/", heard).url == "http://team:4200/api"
    assert list(heard) == []
    monkeypatch.setenv("PREFECT_API_URL", "http://mine:4200/api")
    assert choose(workspace, None, heard).url == "http://mine:4200/api"
    assert "PREFECT_API_URL" in heard.of(Notice)[0].message
    monkeypatch.setenv("CHARPIPE_PREFECT_API", "http://mine:4200/api")  # then it was set by charpipe itself
    assert choose(workspace, None, heard).server is not None


LISTING = """
import sys
import charpipe_pipelines, charpipe_pipelines.cli, charpipe.tracking
list(charpipe_pipelines.charpipe_pipelines()); list(charpipe_pipelines.charpipe_commands())
print([name for name in ("torch", "prefect", "mlflow", "pyarrow", "numpy") if name in sys.modules])
"""


def test_listing_the_pipelines_and_commands_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
