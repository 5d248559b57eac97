"""Two machines with a shared store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from run_machines import CORPUS, TEXT, Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Machine]:
    """Makes machines by name; all share the project in the working directory, and a store."""
    project = tmp_path / "project"
    project.mkdir()
    (project / CORPUS).write_text(TEXT)
    (project / "pipelines.toml").write_text("")
    monkeypatch.chdir(project)
    return lambda name: Machine(tmp_path / name, tmp_path / "shared store")
