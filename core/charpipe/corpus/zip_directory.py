"""The central directory of a zip archive, in parts: Python's zipfile keeps what it has read of one in memory.

Each part is opened by zipfile from a view of the file: all that comes before the directory, then the records of the
part, then an end record for them (APPNOTE 4.3.14 to 4.3.16).
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

FEW_BYTES = 4 * 2**20
"""A directory up to this size is read at once."""
_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"
_RECORD = b"PK\x01\x02"
_FIXED = 46
"""Bytes of a record before its name, extra field and comment."""


@dataclass(frozen=True)
class Directory:
    """Where the directory is: `start` in the file, and `offset` as the end record states it, which is less where the
    archive has been appended to something."""

    start: int
    offset: int
    size: int


def find_directory(source: BinaryIO, size: int) -> Directory | None:
    """The directory of a file of `size` bytes by its end record; None if there is none."""
    tail_size = min(size, 65_536 + 22 + 76)
    source.seek(size - tail_size)
    tail = source.read(tail_size)
    source.seek(0)
    at = tail.rfind(_END)
    if at < 0 or at + 22 > len(tail):
        return None
    length, offset = struct.unpack_from("<II", tail, at + 12)
    end = size - tail_size + at
    at64 = tail.rfind(_END64, 0, at)
    if 0xFFFFFFFF in (length, offset) and at64 >= 0 and at64 + 56 <= len(tail):
        length, offset = struct.unpack_from("<QQ", tail, at64 + 40)
        end = size - tail_size + at64
    return Directory(end - length, offset, length)


def directory_parts(source: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """The archive with one part of its directory after the other. Raises zipfile.BadZipFile for a damaged one."""
    size = source.seek(0, 2)
    source.seek(0)
    directory = find_directory(source, size)
    if directory is not None and directory.start < 0:
        raise zipfile.BadZipFile("its directory is larger than the file")
    if directory is None or directory.size <= FEW_BYTES:
        with zipfile.ZipFile(source) as archive:
            yield archive
        return
    start, stop = directory.start, directory.start + directory.size
    while start < stop:
        records, count = _whole_records(source, start, stop)
        with zipfile.ZipFile(_View(source, directory, records, count)) as archive:
            yield archive
        start += len(records)


def _whole_records(source: BinaryIO, start: int, stop: int) -> tuple[bytes, int]:
    """The records from `start` that end within FEW_BYTES, and how many they are."""
    source.seek(start)
    data = source.read(min(FEW_BYTES, stop - start))
    at = count = 0
    while at + _FIXED <= len(data):
        length = _FIXED + sum(struct.unpack_from("<HHH", data, at + 28))
        if at + length > len(data):
            break
        at, count = at + length, count + 1
    if not count or not data.startswith(_RECORD):
        raise zipfile.BadZipFile("its directory is damaged")
    return data[:at], count


class _View(io.RawIOBase):
    """The file up to its directory, some records of it, and an end record for these."""

    def __init__(self, source: BinaryIO, directory: Directory, records: bytes, count: int) -> None:
        self._source, self._start = source, directory.start
        end = directory.start + len(records)
        self._tail = records + struct.pack(
            "<4sQHHIIQQQQ", _END64, 44, 45, 45, 0, 0, count, count, len(records), directory.offset
        )
        self._tail += struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
        self._tail += struct.pack("<4sHHHHIIH", _END, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._start + len(self._tail)}[whence]
        if base + offset < 0:
            raise OSError("a position before the beginning of the file")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            size = max(self._start + len(self._tail) - self._at, 0)
        data = b""
        if self._at < self._start:
            self._source.seek(self._at)
            data = self._source.read(min(size, self._start - self._at))
        at = self._at + len(data) - self._start
        if at >= 0:
            data += self._tail[at : at + size - len(data)]
        self._at += len(data)
        return data
