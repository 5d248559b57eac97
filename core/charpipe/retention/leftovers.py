"""Removing what killed processes left behind: incomplete folders, temporary files, unused locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from charpipe.retention.file_facts import modified, newest_time
from charpipe.retention.removal import PREFIX, Removed, Remover


def remove_leftovers(remover: Remover) -> Iterator[Removed]:
    """Remove what killed processes left: incomplete folders, temporary files, unused locks."""
    root = remover.workspace.root
    half_made = [
        *root.glob("store/making/*"),
        *root.glob("store/making/.*"),
        *root.glob(f"runs/{PREFIX}*"),
        *root.glob("runs/*/checkpoints/.saving-*"),
        *root.glob("runs/*/checkpoints/.going-*"),
        *root.glob("champions/*/versions/.*"),
        *(path for path in root.glob("runs/*") if path.is_dir() and not (path / "run.json").exists()),
    ]
    temporary = [
        path
        for pattern in (
            "store/actions/.*",
            "store/lineage/.*",
            "runs/*/.*",
            "runs/*/results/.*",
            "champions/*/.*",
        )
        for path in root.glob(pattern)
    ]
    for path in dict.fromkeys([*half_made, *temporary]):
        if remover.is_old(newest_time(path)):
            yield from remover.remove("leftover", path, "left by a process that was killed")
    for path in root.glob("store/locks/*.lock"):
        if remover.is_old(modified(path)) and not (root / "store" / "actions" / f"{path.stem}.json").exists():
            yield from _remove_lock(remover, path)


def _remove_lock(remover: Remover, path: Path) -> Iterator[Removed]:
    lock = FileLock(path, is_singleton=False)
    with suppress(Timeout), lock.acquire(timeout=0):
        yield from remover.remove("leftover", path, "an unused lock")
