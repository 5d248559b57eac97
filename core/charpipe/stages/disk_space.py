"""Checks that the disk has room for what a command will write, before its work starts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from charpipe.errors import CharpipeError
from charpipe.stages.units import size
from charpipe.workspace import VARIABLE, Workspace

MIN_FREE = 4 * 2**20
"""Bytes. With fewer not even the databases and logs of one command have room."""


def check_workspace_disk(workspace: Workspace) -> None:
    """Raise CharpipeError if the workspace is not writable, or its disk is full."""
    root = workspace.root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root) as file:
            file.write(b"x")
        free = shutil.disk_usage(root).free
    except OSError as error:
        raise CharpipeError(
            f"the workspace cannot be written: {root} ({error.strerror}); nothing was started. "
            f"Set {VARIABLE} to a writable folder"
        ) from error
    if free < MIN_FREE:
        raise CharpipeError(
            f"the disk of the workspace {root} is full ({size(free, 'B')} free); nothing was started. "
            f"Make room, or set {VARIABLE} to a folder on another disk"
        )


def space_warning(workspace: Workspace, source: Path | None, selected: Iterable[str]) -> str | None:
    """A warning where a corpus is larger than the free space: its documents and tokens together are usually no smaller
    than its text. `selected` are the files of a folder that are read; a source without a path is small."""
    if source is None:
        return None
    needed = sum(_bytes(source / name) for name in selected) if source.is_dir() else _bytes(source)
    free = shutil.disk_usage(workspace.root).free
    if needed <= free:
        return None
    return (
        f"the corpus has {size(needed, 'B')}, and the disk of the workspace {size(free, 'B')} free, which may not be "
        f"enough for its documents and tokens; make room, or set {VARIABLE} to a folder on another disk"
    )


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
