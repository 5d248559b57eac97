"""The user's own Prefect settings do not reach charpipe's flows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
QUESTION = """
from pathlib import Path
from charpipe.workspace import Workspace
from charpipe_pipelines.server import become_client
become_client(Workspace(Path("room").absolute()))
import prefect.flow_engine
from prefect.settings import get_current_settings
found = get_current_settings()
print(found.tasks.default_retries, found.flows.default_retries, found.results.persist_by_default,
      found.logging.level, found.api.url, found.client.max_retries)
"""


def ask(folder: Path, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", QUESTION],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "validation error" not in done.stderr + done.stdout
    return done.stdout


def test_users_prefect_settings_change_nothing(project: Path) -> None:
    plain = ask(project)
    variables = {
        "PREFECT_TASKS_DEFAULT_RETRIES": "3",
        "PREFECT_FLOWS_DEFAULT_RETRIES": "no number",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        "PREFECT_CLIENT_MAX_RETRIES": "17",
        "PREFECT_PROFILE": "absent",
        "PREFECT_PROFILES_PATH": str(project / "mine.toml"),
    }
    assert ask(project, **variables) == plain
    (project / ".env").write_text(
        "PREFECT_TASKS_DEFAULT_RETRIES=3\nPREFECT_FLOWS_DEFAULT_RETRIES=no number\n"
    )
    assert ask(project) == plain
    (project / "prefect.toml").write_text("[tasks]\ndefault_retries = 3\n[client]\nmax_retries = 'many'\n")
    (project / "pyproject.toml").write_text("[tool.prefect.tasks]\ndefault_retries = 4\n")
    assert ask(project) == plain
    (project / "prefect.toml").write_text("this is no TOML")
    (project / ".env").write_bytes(b"PREFECT_\xff=\xfe\n")
    assert ask(project) == plain


def test_api_url_is_honoured(project: Path) -> None:
    assert "http://127.0.0.1:9/api" in ask(project, PREFECT_API_URL="http://127.0.0.1:9/api")
