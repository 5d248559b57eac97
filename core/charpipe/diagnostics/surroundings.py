"""What checks look at: the workspace, the settings, the plugins, and whether a team's servers were asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from charpipe.config import load_config
from charpipe.config.files import find_project_file
from charpipe.config.load import Resolved
from charpipe.config.ownership import check_plugin_folder
from charpipe.errors import UsageError
from charpipe.plugins.registry import Registry
from charpipe.workspace import Workspace, find_workspace

SECONDS = 5.0
"""A server that takes longer to answer counts as unreachable."""


@dataclass(frozen=True)
class Surroundings:
    """The surroundings of one command. `resolved` is None, with the reason in `invalid`, where the project file cannot
    be used. `cluster`: the servers of a team are examined even where none is named."""

    workspace: Workspace
    registry: Registry
    resolved: Resolved | None
    invalid: str | None = None
    cluster: bool = False
    seconds: float = SECONDS
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


def look_around(cluster: bool = False, registry: Registry | None = None) -> Surroundings:
    """The surroundings of this process, with these plugins (None: the installed ones and the project's).

    A project file that is not valid becomes a finding. Raises OwnershipError for one of another user.
    """
    workspace = find_workspace(find_project_file())
    try:
        resolved = load_config()
    except UsageError as error:
        return Surroundings(workspace, registry or Registry(), None, str(error), cluster)
    return Surroundings(workspace, registry or _plugins(resolved), resolved, cluster=cluster)


def _plugins(resolved: Resolved) -> Registry:
    if resolved.project_file is None:
        return Registry()
    project = resolved.project_file.parent
    folders = [project / os.path.expanduser(path) for path in resolved.config.plugins.paths]  # noqa: PTH111
    return Registry([check_plugin_folder(folder, project) for folder in folders])
