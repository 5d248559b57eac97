"""Read the members of archives: tar and zip, compressed or not, Debian packages, and single compressed files.

Archives are read as streams under limits. Nothing is extracted to disk, and a member's path is used only as a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from charpipe.corpus.compressed import prepend
from charpipe.corpus.decompression import CHUNK, HEAD, ReadAhead, decompress, kind_of
from charpipe.corpus.formats import zip_document
from charpipe.corpus.limits import Limits
from charpipe.corpus.members import Member, read_fully, refused
from charpipe.corpus.seen_paths import SeenPaths
from charpipe.corpus.selection import Selection
from charpipe.corpus.tar import TarStream
from charpipe.corpus.zip import zip_members
from charpipe.errors import CorpusError

_PACKED_SOURCE = re.compile(r"usr/src/.*\.tar(\.[a-z0-9]+)?")
"""A source archive inside a Debian package, which is read too: linux-source-N.N contains the kernel as one."""


class FileMembers:
    """The members of one file of any supported kind."""

    def __init__(self, source: BinaryIO, name: str, selection: Selection, limits: Limits) -> None:
        self._source = source
        self._name = name
        self._selection = selection
        self._limits = limits
        self._seen = SeenPaths()

    def position(self) -> int:
        """Bytes of the file read so far."""
        return self._source.tell()

    def __iter__(self) -> Iterator[Member]:
        kind = kind_of(self._source.read(HEAD))
        self._source.seek(0)
        if kind == "zip" and (what := zip_document(self._source)):
            yield refused(self._name, what, Path(self._source.name).stat().st_size)
        elif kind == "zip":
            yield from zip_members(self._source, self._name, self._selection, self._limits, self.admit)
        elif kind == "deb":
            yield from self._package()
        elif kind == "plain":
            size = Path(self._source.name).stat().st_size
            yield Member(self._name, size, lambda size: read_fully(self._source.read, size))
        else:
            yield from self._stream(self._source.read, self._name)

    def _stream(self, read: Callable[[int], bytes], name: str, package: bool = False) -> Iterator[Member]:
        """The members of a tar, compressed or not, or a single file, compressed or not."""
        head = read_fully(read, HEAD)
        kind = kind_of(head)
        read = prepend(head, read)
        if kind in ("tar", "plain"):
            chunks = iter(lambda: read(CHUNK), b"")
        else:
            chunks = decompress(read, kind, name, self._limits, self.position)
        with closing(ReadAhead(chunks)) as stream:
            first = stream.read(HEAD)
            stream.unread(first)
            if kind_of(first) == "tar" or package:
                yield from self._tar(TarStream(stream, name, self._limits), package)
            else:
                yield Member(PurePosixPath(name).stem if kind != "plain" else name, -1, stream.read)

    def _tar(self, tar: TarStream, package: bool) -> Iterator[Member]:
        for entry in tar:
            path = entry.path.removeprefix("./")
            if entry.why_not == "folder":
                continue
            body = _Body(tar, entry.size)
            if package and not entry.why_not and _PACKED_SOURCE.fullmatch(path):
                yield from self._stream(body.read, PurePosixPath(path).name)
            elif self._selection.selects(path):
                why_not = entry.why_not or self.admit(path)
                yield refused(path, why_not, entry.size) if why_not else Member(path, entry.size, body.read)

    def _package(self) -> Iterator[Member]:
        """The members of a Debian package: an `ar` archive whose member data.tar.* holds the files (deb(5))."""
        self._source.seek(8)
        while len(header := self._source.read(60)) == 60:
            name, size = header[:16].decode("latin-1").strip(" /"), header[48:58].strip()
            if not size.isdigit() or header[58:] != b"`\n":
                break
            if name.startswith("data.tar"):
                region = _Region(self._source, int(size))
                yield from self._stream(region.read, self._name, package=True)
                return
            self._source.seek(int(size) + int(size) % 2, 1)
        raise CorpusError(f"{self._name} is not a whole Debian package: it holds no data; fetch it again")

    def admit(self, path: str) -> str:
        """Why a member with this path is rejected (an unsafe or duplicate path); empty if it is not."""
        if path.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", path) or re.match("[A-Za-z]:", path):
            return "unsafe path: it leads outside the archive"
        if "\0" in path or len(path) > 4096:
            return "unsafe path: too long or with NUL"
        return "" if self._seen.add(path) else "duplicate path in the archive: the first is read"


class _Body:
    """The unread rest of one tar member."""

    def __init__(self, tar: TarStream, size: int) -> None:
        self._tar = tar
        self._left = size

    def read(self, size: int) -> bytes:
        size = min(size, self._left)
        self._left -= size
        return self._tar.read(size) if size else b""


class _Region:
    """The next `size` bytes of a file."""

    def __init__(self, source: BinaryIO, size: int) -> None:
        self._source = source
        self._left = size

    def read(self, size: int) -> bytes:
        data = self._source.read(min(size, self._left))
        self._left -= len(data)
        return data
