"""What a corpus is read from, one file at a time, whether it lies in a folder, an archive or alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from charpipe.corpus.exclusions import LeftOut
from charpipe.corpus.selection import Selection

Progress = Callable[[int, int | None], None]
"""Told how many bytes of the source are done, and of how many, where that is known."""


@dataclass(frozen=True)
class Member:
    """One file that was selected.

    `read(n)` returns the next n bytes (fewer only at the end, none after it); it is valid until the next
    member is asked for. `size` is a claim, -1 where nobody knows. `why_not` is set where it cannot be read.
    """

    path: str
    size: int
    read: Callable[[int], bytes]
    why_not: str = ""


NEVER = frozenset({".charpipe", ".git"})
"""Folders that are never part of a corpus."""
NOTHING = LeftOut()


def refused(path: str, why_not: str, size: int = 0) -> Member:
    """A file that is listed, with its reason, and not read."""
    return Member(path, size, lambda _: b"", why_not)


def walk(
    root: Path, selection: Selection, left_out: LeftOut = NOTHING
) -> Iterator[tuple[str, os.stat_result | None, str]]:
    """(relative path, stat, reason it cannot be read) of the selected files of a folder, sorted by path.

    Links to files are followed, links to folders are not, so that no loop is ever walked.
    """
    yield from _walk(root, "", selection, left_out)


def _walk(
    root: Path, folder: str, selection: Selection, left_out: LeftOut
) -> Iterator[tuple[str, os.stat_result | None, str]]:
    try:
        with os.scandir(root / folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
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
            found, why_not = _look(entry)
            if found is None or not left_out.leaves_out_file(path, found):
                yield path, found, why_not


def _look(entry: os.DirEntry[str]) -> tuple[os.stat_result | None, str]:
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
    """The selected files of a folder, sorted by path; one whose content is `known` is named, and not opened."""
    for path, found, why_not in walk(root, selection, left_out):
        if found is None or why_not:
            yield refused(path, why_not)
            continue
        if known(path):
            yield Member(path, found.st_size, lambda _: b"")
            continue
        try:
            stream = (root / path).open("rb", buffering=0)
        except OSError as error:
            yield refused(path, f"unreadable: {error.strerror}", found.st_size)
            continue
        with stream:
            yield Member(path, found.st_size, lambda size, stream=stream: read_fully(stream.read, size))  # type: ignore[misc]


def read_fully(read: Callable[[int], bytes | None], size: int) -> bytes:
    """`size` bytes from a stream that may hand out fewer at a time; fewer only at its end."""
    data = read(size) or b""
    if len(data) == size or not data:
        return data
    parts = [data]
    missing = size - len(data)
    while missing and (data := read(missing) or b""):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)
