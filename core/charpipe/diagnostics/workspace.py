"""Checks of the workspace: whether it can be written, its free space, its owner, and its own MLflow server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from charpipe.config.settings.tracking import TrackingConfig
from charpipe.diagnostics.surroundings import Surroundings
from charpipe.plugins.contracts import Finding
from charpipe.tracking import locate
from charpipe.workspace import VARIABLE

FULL = 4 * 2**20
"""Bytes. With fewer, no command starts (`charpipe.stages.disk_space`, which would import PyTorch here)."""
LOW = 2 * 2**30
"""Bytes. With fewer, one larger corpus with its tokens may fill the disk."""


def workspace(surroundings: Surroundings) -> Iterator[Finding]:
    """The workspace's folder and its disk."""
    root = surroundings.workspace.root
    place = _nearest(root)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
    except OSError as error:
        message = f"the workspace {root} cannot be written ({error.strerror})"
        yield Finding("workspace", "problem", message, f"set {VARIABLE} to a writable folder")
    else:
        state = "" if root.is_dir() else " (it will be made by the first command that needs it)"
        yield Finding("workspace", "ok", f"{root} can be written{state}")
    yield from _owner(root)
    yield _space(place)


def _nearest(root: Path) -> Path:
    """The folder itself, or the nearest of its parents that exists: it may be a file, which then is in the way."""
    return next(path for path in (root, *root.parents) if os.path.lexists(path))


def _owner(root: Path) -> Iterator[Finding]:
    if hasattr(os, "geteuid") and root.is_dir() and (owner := root.stat().st_uid) != os.geteuid():
        yield Finding(
            "workspace",
            "warning",
            f"{root} belongs to another user (uid {owner}), who may not read what you write there",
            f"set {VARIABLE} to a folder of your own, or run charpipe as that user",
        )


def _space(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    message = f"{free / 2**30:,.1f} GiB free on the disk of the workspace"
    advice = f"type `charpipe gc`, make room, or set {VARIABLE} to a folder on another disk"
    if free < FULL:
        return Finding("workspace", "problem", f"{message}: nothing can be written", advice)
    return (
        Finding("workspace", "warning", message, advice)
        if free < LOW
        else Finding("workspace", "ok", message)
    )


def mlflow_server(surroundings: Surroundings) -> Iterator[Finding]:
    """The workspace's own MLflow server, which `charpipe ui` starts; nothing where another is named and it does not
    run."""
    from charpipe.tracking.pages import mlflow_server as server_of

    root, resolved = surroundings.workspace.root, surroundings.resolved
    own = locate(TrackingConfig(), root / "mlflow", {})
    url = server_of(own, root / "logs").running()
    named = resolved.config.tracking.uri if resolved else None
    if url is None and (named or surroundings.environ.get("MLFLOW_TRACKING_URI")):
        return
    state = (
        f"the workspace's MLflow server runs at {url}"
        if url
        else "the workspace's MLflow server is not running"
    )
    yield Finding("servers", "ok", state)
