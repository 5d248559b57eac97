"""Size and age of files and folders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def freed_bytes(path: Path) -> int:
    """Bytes that removing `path` frees; files with other hard links free nothing."""
    total = 0
    for file in _files(path):
        with suppress(OSError):
            status = file.lstat()
            total += status.st_size if status.st_nlink == 1 else 0
    return total


def newest_time(path: Path) -> float:
    """The latest modification time of any file in `path`, ignoring locks."""
    times = [modified(file) for file in _files(path) if file.suffix not in (".lock", ".holder")]
    return max(times, default=modified(path))


def modified(path: Path) -> float:
    """The modification time of one file or folder; 0 if it is gone."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        yield from (one for one in path.rglob("*") if not one.is_dir())
    else:
        yield path
