"""Exclusions from a corpus's folder: workspaces, and files that the running command writes to."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from charpipe.store.paths import printable

_Inode = tuple[int, int]
_WORKSPACE_FOLDERS = ("store", "runs", "downloads", "mlflow", "prefect", "logs", "champions", "home")
"""The folders of a workspace."""
_STDOUT, _STDERR = 1, 2


@dataclass(frozen=True)
class LeftOut:
    """Excluded folders and files, by device and inode, so that links to them are excluded too.

    `paths`: relative paths of files that changed while they were read.
    """

    folders: frozenset[_Inode] = frozenset()
    files: frozenset[_Inode] = frozenset()
    paths: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, workspace: Path, *others: Path) -> LeftOut:
        """Exclude this workspace, `others`, and the files that standard output and standard error are redirected to."""
        streams = (_redirected(stream) for stream in (_STDOUT, _STDERR))
        return cls(
            folders=frozenset(filter(None, map(_inode, (workspace, *others)))),
            files=frozenset(filter(None, streams)),
        )

    def leaves_out_folder(self, folder: Path) -> bool:
        """Whether this is a workspace or a folder of one: charpipe may write to it during the read."""
        if (folder.name in _WORKSPACE_FOLDERS and self._is_workspace(folder.parent)) or is_workspace(folder):
            return True
        return bool(self.folders) and _inode(folder) in self.folders

    def leaves_out_file(self, path: str, found: os.stat_result) -> bool:
        """Whether the command itself writes this file, or it is in `paths`."""
        return path in self.paths or (found.st_dev, found.st_ino) in self.files

    def _is_workspace(self, folder: Path) -> bool:
        return is_workspace(folder) or (bool(self.folders) and _inode(folder) in self.folders)


def own_files(root: Path | None, left_out: LeftOut) -> list[str]:
    """The excluded files at the top of a corpus's folder, where shell redirections usually put them."""
    if root is None or not left_out.files or not root.is_dir():
        return []
    with os.scandir(root) as entries:
        return sorted(
            printable(entry.name) for entry in entries if _inode(Path(entry.path)) in left_out.files
        )


def is_workspace(folder: Path) -> bool:
    """Whether a folder has the subfolders of a workspace; its name is ignored."""
    if not (folder / "store" / "actions").is_dir():
        return False
    return (folder / "store" / "objects").is_dir() and any(
        (folder / name).is_dir() for name in _WORKSPACE_FOLDERS[1:6]
    )


def _inode(path: Path) -> _Inode | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _redirected(stream: int) -> _Inode | None:
    try:
        found = os.fstat(stream)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
