"""Plugins of a test are forgotten after it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def plugins(project: Path) -> Iterator[Path]:
    """The folder for the plugins of a project; their modules are forgotten afterwards."""
    folder = project / "plugins"
    folder.mkdir()
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if (folder / name.partition(".")[0]).exists() or (folder / f"{name}.py").exists():
            del sys.modules[name]
