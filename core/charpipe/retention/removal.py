"""Removing one file or folder: never one that is needed; a folder is renamed before it is deleted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charpipe.config.settings.retention import RetentionConfig
from charpipe.retention.file_facts import freed_bytes
from charpipe.retention.references import References
from charpipe.workspace import Workspace

HOUR = 3600.0
PREFIX = ".going-"
"""Prefix of a folder that is being removed; one left by a killed process is removed by the next collection."""


@dataclass(frozen=True)
class Removed:
    """A removed item, or one that a dry run would remove: kind, path in the workspace, bytes and reason."""

    kind: str
    path: str
    bytes: int
    why: str


class Remover:
    """Removes what is older than the grace time and not needed; in a dry run only reports it."""

    def __init__(
        self, workspace: Workspace, policy: RetentionConfig, kept: References, *, dry_run: bool
    ) -> None:
        self.workspace, self.kept, self.dry_run = workspace, kept, dry_run
        self._before = time.time() - policy.grace_hours * HOUR

    def remove(self, kind: str, path: Path, why: str) -> Iterator[Removed]:
        """Remove a file or folder, and yield what was removed; nothing if it is needed or cannot be removed."""
        if self.is_needed(path):
            return
        size = freed_bytes(path)
        if not self.dry_run:
            try:
                if path.is_dir() and not path.is_symlink():
                    aside = path if path.name.startswith(PREFIX) else path.with_name(f"{PREFIX}{path.name}")
                    path.rename(aside)
                    shutil.rmtree(aside)
                else:
                    path.unlink(missing_ok=True)
            except OSError:
                return  # kept; the next collection tries again
        yield Removed(kind, path.relative_to(self.workspace.root).as_posix(), size, why)

    def is_needed(self, path: Path) -> bool:
        """Whether `path` contains a checkpoint that an unfinished run starts from."""
        return any((self.workspace.root / start).is_relative_to(path) for start in self.kept.starts)

    def is_old(self, moment: float) -> bool:
        """Whether `moment` is before the grace time."""
        return moment < self._before
