"""Open the plugins that a command may use."""

from __future__ import annotations

import os

from charpipe.config.load import Resolved
from charpipe.config.ownership import check_plugin_folder
from charpipe.plugins.registry import Registry


def open_plugins(resolved: Resolved) -> Registry:
    """The installed plugins and those in the folders that the project file names."""
    if resolved.project_file is None:
        return Registry()
    paths = resolved.config.plugins.paths
    project = resolved.project_file.parent
    folders = [project / os.path.expanduser(path) for path in paths]  # noqa: PTH111  an unknown user stays as written
    return Registry([check_plugin_folder(folder, project) for folder in folders])
