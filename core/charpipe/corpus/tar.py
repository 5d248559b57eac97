"""Tar archives read as a stream: no member list grows in memory, nothing is ever extracted.

The standard library parses each header; what is ours is the walk, because its own keeps every member
and its filters predate the fixes of 2025.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from charpipe.corpus.limits import Limits
from charpipe.corpus.streams import ReadAhead
from charpipe.errors import CorpusError

BLOCK = tarfile.BLOCKSIZE
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
_EXTENDED, _GLOBAL = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE), tarfile.XGLTYPE
_LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE)


@dataclass(frozen=True)
class Entry:
    """One member's header; `why_not` says why it is not a regular file, empty where it is."""

    path: str
    size: int
    why_not: str = ""


class TarStream:
    """Members in the order of the archive. Read or skip each one's body before asking for the next."""

    def __init__(self, stream: ReadAhead, subject: str, limits: Limits) -> None:
        self._stream = stream
        self._subject = subject
        self._limits = limits
        self._pending = 0

    def __iter__(self) -> Iterator[Entry]:
        name: str | None = None
        extended: dict[str, str] = {}
        members = 0
        while (header := self._header()) is not None:
            members += 1
            self._limits.check_members(self._subject, members)
            if header.type == _LONG_NAME:
                name = _text(self._attribute(header.size).rstrip(b"\0"))
            elif header.type == _LONG_LINK:
                self._attribute(header.size)
            elif header.type in _EXTENDED:
                extended = _records(self._attribute(header.size))
            elif header.type == _GLOBAL:
                self._attribute(header.size)
            else:
                yield self._entry(header, name, extended)
                name, extended = None, {}

    def read(self, size: int) -> bytes:
        """The next `size` bytes of the current member's body. Raises CorpusError where the archive ends."""
        data = self._stream.read(size)
        if len(data) < size:
            raise self._cut_short()
        self._pending -= size
        return data

    def _entry(self, header: tarfile.TarInfo, name: str | None, extended: dict[str, str]) -> Entry:
        path = extended.get("path") or name or header.name
        size = header.size
        if "size" in extended:
            size = int(extended["size"]) if extended["size"].isdecimal() else -1
        if header.type in _LINKS or header.isdir():
            size = 0
        self._limits.check_claim(self._subject, path, size)
        self._pending = size + -size % BLOCK
        return Entry(path, size, _why_not(header, extended))

    def _header(self) -> tarfile.TarInfo | None:
        """The next header, or None at the end of the archive (two blocks of NUL, or the end of the stream)."""
        if self._pending and not self._stream.skip(self._pending):
            raise self._cut_short()
        self._pending = 0
        block = self._stream.read(BLOCK)
        if not block:
            return None
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            return None
        except tarfile.HeaderError as error:
            raise CorpusError(
                f"{self._subject} is damaged ({error}); nothing of it was kept. Fetch it again"
            ) from error

    def _attribute(self, size: int) -> bytes:
        if not 0 <= size <= self._limits.header_bytes:
            raise CorpusError(
                f"{self._subject} claims {size:,} bytes for a name; nothing of it was kept. "
                "The archive is damaged or hostile"
            )
        data = self._stream.read(size)
        if len(data) < size:
            raise self._cut_short()
        self._pending = -size % BLOCK
        return data

    def _cut_short(self) -> CorpusError:
        return CorpusError(f"{self._subject} ends too early; nothing of it was kept. Fetch it again")


def _why_not(header: tarfile.TarInfo, extended: dict[str, str]) -> str:
    if header.isdir():
        return "folder"
    if header.type in _LINKS:
        return "link, not followed"
    if header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in extended):
        return "sparse file"
    return "" if header.isreg() else "device or other special file"


def _records(data: bytes) -> dict[str, str]:
    """Extended header records: `LENGTH KEY=VALUE` and a newline (POSIX.1-2001 pax)."""
    records: dict[str, str] = {}
    at = 0
    while at < len(data):
        length, _, _ = data[at : at + 20].partition(b" ")
        if not length.isdigit() or not 5 <= int(length) <= len(data) - at:
            break
        key, _, value = data[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        records[_text(key)] = _text(value)
        at += int(length)
    return records


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
