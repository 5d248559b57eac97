"""Read the members of zip archives. The size of the central directory is checked before it is read."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from charpipe.corpus.limits import Limits
from charpipe.corpus.members import Member, read_fully, refused
from charpipe.corpus.selection import Selection
from charpipe.corpus.zip_directory import directory_parts, find_directory
from charpipe.errors import CorpusError

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def zip_members(
    source: BinaryIO, subject: str, selection: Selection, limits: Limits, admit: Callable[[str], str]
) -> Iterator[Member]:
    """The selected members of a zip archive, in the order of its central directory."""
    size = source.seek(0, 2)
    _check_directory(source, size, subject, limits)
    produced = 0

    def counted(read: Callable[[int], bytes], wanted: int) -> bytes:
        nonlocal produced
        try:
            data = read_fully(read, wanted)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise _damaged(subject, error) from error
        produced += len(data)
        limits.check_output(subject, size, produced)
        return data

    members = 0
    try:
        for archive in directory_parts(source):
            members += len(archive.infolist())
            limits.check_members(subject, members)
            for info in archive.infolist():
                if info.is_dir() or not selection.selects(info.filename):
                    continue
                limits.check_claim(subject, info.filename, info.file_size)
                why_not = _why_not(info) or admit(info.filename)
                if why_not:
                    yield refused(info.filename, why_not, info.file_size)
                    continue
                with archive.open(info) as stream:
                    yield Member(
                        info.filename,
                        info.file_size,
                        lambda wanted, read=stream.read: counted(read, wanted),  # type: ignore[misc]
                    )
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _damaged(subject, error) from error


def _why_not(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 1:
        return "encrypted"
    if info.compress_type not in _METHODS:
        return f"compressed by an unknown method ({info.compress_type})"
    mode = info.external_attr >> 16
    return "link, not followed" if mode and stat.S_ISLNK(mode) else ""


def _check_directory(source: BinaryIO, size: int, subject: str, limits: Limits) -> None:
    """Raise CorpusError if the directory size in the end record (APPNOTE 4.3.16) is beyond the limit."""
    directory = find_directory(source, size)
    if directory is None:
        raise _damaged(subject, "it has no directory")
    if directory.size > limits.zip_directory_bytes:
        raise CorpusError(
            f"{subject} has a directory of {directory.size:,} bytes, more than the {limits.zip_directory_bytes:,} that "
            "are read; nothing of it was kept. Unpack it yourself and name the folder"
        )


def _damaged(subject: str, reason: object) -> CorpusError:
    return CorpusError(f"{subject} is damaged ({reason}); nothing of it was kept. Fetch it again")
