"""Members: the files that a corpus is read from, one at a time, from a folder, an archive or a single file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from charpipe.corpus.exclusions import LeftOut
from charpipe.corpus.folder_entries import Entry, sorted_entries
from charpipe.corpus.selection import Selection

Progress = Callable[[int, int | None], None]
"""Callback (bytes done, total bytes or None if unknown)."""


@dataclass(frozen=True)
class Member:
    """One selected file.

    `read(n)` returns the next n bytes (fewer only at the end, none after it); it is valid until the next member is
    requested. `size` is the stated size, or -1 if unknown. `why_not` is the reason if the file is rejected.
    """

    path: str
    size: int
    read: Callable[[int], bytes]
    why_not: str = ""


NEVER = frozenset({".charpipe", ".git"})
"""Folders that are never part of a corpus."""
NOTHING = LeftOut()


def refused(path: str, why_not: str, size: int = 0) -> Member:
    """A member that is listed as rejected with a reason, and not read."""
    return Member(path, size, lambda _: b"", why_not)


def walk(
    root: Path, selection: Selection, left_out: LeftOut = NOTHING
) -> Iterator[tuple[str, os.stat_result | None, str]]:
    """(relative path, stat, reason it cannot be read) of the selected files of a folder, sorted by path.

    Links to files are followed; links to folders are not, which avoids loops.
    """
    yield from _walk(root, "", selection, left_out)


def _walk(
    root: Path, folder: str, selection: Selection, left_out: LeftOut
) -> Iterator[tuple[str, os.stat_result | None, str]]:
    try:
        entries = sorted_entries(root / folder)
    except OSError as error:
        yield folder or ".", None, f"unreadable folder: {error.strerror}"
        return
    for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name in NEVER or selection.prunes(path) or left_out.leaves_out_folder(Path(entry.path)):
                continue
            yield from _walk(root, path, selection, left_out)
        elif selection.selects(path):
            found, why_not = _stat(entry)
            if found is None or not left_out.leaves_out_file(path, found):
                yield path, found, why_not


def _stat(entry: Entry) -> tuple[os.stat_result | None, str]:
    try:
        found = entry.stat()
    except OSError as error:
        return None, f"unreadable: {error.strerror}"
    if stat.S_ISDIR(found.st_mode):
        return found, "link to a folder, not followed"
    return found, "" if stat.S_ISREG(found.st_mode) else "device or other special file"


def folder_members(
    root: Path,
    selection: Selection,
    known: Callable[[str], bool] = lambda path: False,
    left_out: LeftOut = NOTHING,
) -> Iterator[Member]:
    """The selected files of a folder, sorted by path. Files whose content is `known` are listed but not opened."""
    for member in listed_members(root, selection, left_out):
        if member.why_not or known(member.path):
            yield member
            continue
        with open_member(root, member.path, member.size) as opened:
            yield opened


def listed_members(root: Path, selection: Selection, left_out: LeftOut = NOTHING) -> Iterator[Member]:
    """The selected files of a folder, sorted by path and not opened."""
    for path, found, why_not in walk(root, selection, left_out):
        if found is None or why_not:
            yield refused(path, why_not)
        else:
            yield Member(path, found.st_size, lambda _: b"")


@contextmanager
def open_member(root: Path, path: str, size: int, why_not: str = "") -> Iterator[Member]:
    """A file of a folder, opened; one that cannot be opened is rejected."""
    if why_not:
        yield refused(path, why_not, size)
        return
    try:
        stream = (root / path).open("rb", buffering=0)
    except OSError as error:
        yield refused(path, f"unreadable: {error.strerror}", size)
        return
    with stream:
        yield Member(path, size, lambda wanted: read_fully(stream.read, wanted))


def read_fully(read: Callable[[int], bytes | None], size: int) -> bytes:
    """Read `size` bytes from a stream that may return fewer per call; returns fewer only at its end."""
    data = read(size) or b""
    if len(data) == size or not data:
        return data
    parts = [data]
    missing = size - len(data)
    while missing and (data := read(missing) or b""):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)
