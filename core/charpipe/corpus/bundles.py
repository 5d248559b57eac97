"""Bundles: consecutive members of a source, which one process reads at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from charpipe.corpus.members import Member, open_member, read_fully, refused

BYTES = 16 * 10**6
MEMBERS = 1 << 13
"""A bundle ends after so many bytes or members."""
_CHUNK = 4 * 2**20


@dataclass
class Bundle:
    """Members as (path, size, why not), and where their bytes are: files below `root`, or one after another in the
    file `spool`, as many bytes as `lengths` says."""

    root: str = ""
    spool: str = ""
    members: list[tuple[str, int, str]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    bytes: int = 0

    def add(self, member: Member, length: int) -> None:
        """Add a member with `length` bytes to read."""
        self.members.append((member.path, member.size, member.why_not))
        self.lengths.append(length)
        self.bytes += length

    @property
    def is_full(self) -> bool:
        return self.bytes >= BYTES or len(self.members) >= MEMBERS

    def to_json(self) -> dict[str, Any]:
        """The bundle as JSON, for another process."""
        return {"root": self.root, "spool": self.spool, "members": self.members, "lengths": self.lengths}

    def open(self) -> Iterator[Member]:
        """The members, each to be read before the next."""
        if self.spool:
            yield from self._spooled()
            return
        for path, size, why_not in self.members:
            with open_member(Path(self.root), path, size, why_not) as member:
                yield member

    def _spooled(self) -> Iterator[Member]:
        at = 0
        with Path(self.spool).open("rb") as file:
            for (path, size, why_not), length in zip(self.members, self.lengths, strict=True):
                file.seek(at)
                yield (
                    refused(path, why_not, size)
                    if why_not
                    else Member(path, size, _within(file.read, length))
                )
                at += length


def folder_bundles(root: Path, members: Iterable[Member]) -> Iterator[Bundle]:
    """Bundles of the files of a folder, which are not opened."""
    bundle = Bundle(root=str(root))
    for member in members:
        bundle.add(member, max(member.size, 0))
        if bundle.is_full:
            yield bundle
            bundle = Bundle(root=str(root))
    if bundle.members:
        yield bundle


def spooled_bundles(folder: Path, members: Iterable[Member]) -> Iterator[Bundle]:
    """Bundles of members whose bytes are copied into files in `folder`."""
    source = iter(members)
    for number in count():
        bundle = Bundle(spool=str(folder / f"{number}.members"))
        more = _fill(bundle, source)
        if bundle.members:
            yield bundle
        if not more:
            return


def _fill(bundle: Bundle, members: Iterator[Member]) -> bool:
    """Copy members until the bundle is full; returns whether there may be more."""
    with Path(bundle.spool).open("wb") as spool:
        for member in members:
            length = 0
            try:
                while not member.why_not and (chunk := read_fully(member.read, _CHUNK)):
                    length += spool.write(chunk)
            except OSError as error:
                spool.seek(-length, 1)
                spool.truncate()
                length, member = (
                    0,
                    refused(member.path, f"unreadable: {error.strerror or error}", member.size),
                )
            bundle.add(member, length)
            if bundle.is_full:
                return True
    return False


def _within(read: Callable[[int], bytes], length: int) -> Callable[[int], bytes]:
    left = length

    def limited(size: int) -> bytes:
        nonlocal left
        data = read(min(size, left))
        left -= len(data)
        return data

    return limited
