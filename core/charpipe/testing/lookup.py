"""Looks up an architecture by name, for tests of plugins next to a project file."""

from __future__ import annotations

from pathlib import Path

from charpipe.config import load_config
from charpipe.plugin import Architecture
from charpipe.plugins.registry import Registry


def find_architecture(name: str) -> Architecture:
    """The architecture `name` of the installed plugins or of the current project. Raises UsageError, PluginError."""
    resolved = load_config()
    if resolved.project_file is None:
        return Registry().architecture(name)
    folder = resolved.project_file.parent
    folders = [folder / Path(path).expanduser() for path in resolved.config.plugins.paths]
    return Registry(folders).architecture(name)
