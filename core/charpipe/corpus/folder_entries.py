"""The entries of a folder, sorted by name; those of a very large folder are sorted on disk."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

from charpipe.store.sqlite import temporary_database

FEW = 1 << 16
"""Entries that are sorted in memory."""


class Entry(Protocol):
    """What is used of `os.DirEntry`."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    def is_dir(self, *, follow_symlinks: bool = True) -> bool: ...
    def stat(self) -> os.stat_result: ...


def sorted_entries(folder: Path) -> Iterable[Entry]:
    """The entries of a folder in the order of their names' code points. Raises OSError if it cannot be read."""
    with os.scandir(folder) as scanned:
        entries: list[Entry] = sorted(islice(scanned, FEW), key=lambda entry: entry.name)
        rest = next(scanned, None)
        if rest is None:
            return entries
        names = temporary_database(Path(tempfile.gettempdir()))
        names.execute("CREATE TABLE names (name BLOB PRIMARY KEY) WITHOUT ROWID")
        every = (entry.name for some in (entries, [rest], scanned) for entry in some)
        # in this form of UTF-8 the order of bytes is that of code points, for bytes that are not UTF-8 too
        keys = ((name.encode("utf-8", "surrogatepass"),) for name in every)
        names.executemany("INSERT OR IGNORE INTO names VALUES (?)", keys)

    def listed() -> Iterator[Entry]:
        for (key,) in names.execute("SELECT name FROM names ORDER BY name"):
            yield _NamedEntry(folder, key.decode("utf-8", "surrogatepass"))
        names.close()

    return listed()


class _NamedEntry:
    """An entry of which only the name is kept."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.path = name, os.path.join(folder, name)  # noqa: PTH118  a Path for every file is slow

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        try:
            return stat.S_ISDIR(os.stat(self.path, follow_symlinks=follow_symlinks).st_mode)  # noqa: PTH116
        except OSError:
            return False

    def stat(self) -> os.stat_result:
        return os.stat(self.path)  # noqa: PTH116
