"""Read tar archives as streams, in constant memory and without extracting anything.

The standard library's tarfile is not used: it keeps every member in memory, its filters predate the fixes of 2025, and
parsing its headers would take a tenth of the time that decompressing the Linux source takes.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from charpipe.corpus.decompression import ReadAhead
from charpipe.corpus.limits import Limits
from charpipe.errors import CorpusError

BLOCK = tarfile.BLOCKSIZE
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
_EXTENDED, _GLOBAL = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE), tarfile.XGLTYPE
_LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE)
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)


@dataclass(frozen=True)
class Entry:
    """One member's header; `why_not` is empty for a regular file, else it says what the member is."""

    path: str
    size: int
    why_not: str = ""


@dataclass(frozen=True)
class _Header:
    name: str
    size: int
    type: bytes

    def is_folder(self) -> bool:
        return self.type == tarfile.DIRTYPE or (self.type == tarfile.AREGTYPE and self.name.endswith("/"))


class TarStream:
    """Iterates over the members in archive order. A body can be read until the next member is requested."""

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
        """Read the next `size` bytes of the current member's body. Raises CorpusError if the archive ends early."""
        data = self._stream.read(size)
        if len(data) < size:
            raise self._cut_short()
        self._pending -= size
        return data

    def _entry(self, header: _Header, name: str | None, extended: dict[str, str]) -> Entry:
        path = extended.get("path") or name or header.name
        size = header.size
        if "size" in extended:
            size = int(extended["size"]) if extended["size"].isdecimal() else -1
        if header.type in _LINKS or header.is_folder():
            size = 0
        self._limits.check_claim(self._subject, path, size)
        self._pending = size + -size % BLOCK
        return Entry(path, size, _why_not(header, extended))

    def _header(self) -> _Header | None:
        """The next header, or None at the end of the archive (two blocks of NUL, or the end of the stream)."""
        if self._pending and not self._stream.skip(self._pending):
            raise self._cut_short()
        self._pending = 0
        block = self._stream.read(BLOCK)
        if not block:
            return None
        if not block.strip(b"\0"):
            return None
        header = _parse(block)
        if header is None:
            raise CorpusError(
                f"{self._subject} is damaged (no tar header); nothing of it was kept. Fetch it again"
            )
        return header

    def _attribute(self, size: int) -> bytes:
        if not 0 <= size <= self._limits.header_bytes:
            raise CorpusError(
                f"{self._subject} claims {size:,} bytes for a name; nothing of it was kept. "
                "The archive is damaged or malicious"
            )
        data = self._stream.read(size)
        if len(data) < size:
            raise self._cut_short()
        self._pending = -size % BLOCK
        return data

    def _cut_short(self) -> CorpusError:
        return CorpusError(f"{self._subject} ends too early; nothing of it was kept. Fetch it again")


def _parse(block: bytes) -> _Header | None:
    """Parse a header block (POSIX.1-1988 ustar, with GNU's binary sizes); None if its checksum is wrong."""
    stated = _number(block[148:156])
    # the checksum treats its own eight bytes as spaces; old archives summed signed characters
    total = sum(block) - sum(block[148:156]) + 8 * 32
    signed = total - 256 * sum(byte > 127 for byte in block) if stated != total else total
    size = _number(block[124:136])
    if len(block) < BLOCK or stated not in (total, signed) or size is None:
        return None
    name = _text(block[:100].partition(b"\0")[0])
    kind = block[156:157]
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(block[345:500].partition(bytes(1))[0])}/{name}"
    return _Header(name, size, kind)


def _number(field: bytes) -> int | None:
    """Parse an octal number, or a base-256 number if the first bit is set."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big", signed=field[0] == 0xFF)
    digits = field.strip(b" \0")
    try:
        return int(digits, 8) if digits else 0
    except ValueError:
        return None


def _why_not(header: _Header, extended: dict[str, str]) -> str:
    if header.is_folder():
        return "folder"
    if header.type in _LINKS:
        return "link, not followed"
    if header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in extended):
        return "sparse file"
    return "" if header.type in _REGULAR else "device or other special file"


def _records(data: bytes) -> dict[str, str]:
    """Parse extended header records: `LENGTH KEY=VALUE` and a newline (POSIX.1-2001 pax)."""
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
