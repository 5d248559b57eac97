"""Examine the installation, the workspace, and the servers that the settings name."""

from __future__ import annotations

from charpipe.diagnostics import Diagnosis, examine, look_around


def doctor(cluster: bool = False) -> Diagnosis:
    """What is installed and reachable, as findings, each with what mends it; `problems` are those that need it.

    Servers that the settings name are asked with a short limit; with `cluster` it also says which are not named.
    Changes nothing. Raises OwnershipError for a project file or a plugin of another user.
    """
    return examine(look_around(cluster))
