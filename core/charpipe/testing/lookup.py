"""Looks up what plugins provide by name, for tests of plugins next to a project file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charpipe.config import load_config
from charpipe.errors import UsageError, near_match
from charpipe.plugin import Architecture
from charpipe.plugins.registry import KINDS, Registry


def find_architecture(name: str) -> Architecture:
    """The architecture `name` of the installed plugins or of the current project. Raises UsageError, PluginError."""
    return _registry().architecture(name)


def find_provided(kind: str, name: str) -> Any:
    """The spec of a kind with this name. Raises UsageError, PluginError."""
    if kind not in KINDS:
        raise UsageError(f"there is no kind of plugin {kind!r}{near_match(kind, KINDS)}")
    return _registry().find(kind, name).spec


def _registry() -> Registry:
    """The plugins of this environment and of the current project."""
    resolved = load_config()
    if resolved.project_file is None:
        return Registry()
    folder = resolved.project_file.parent
    return Registry([folder / Path(path).expanduser() for path in resolved.config.plugins.paths])
