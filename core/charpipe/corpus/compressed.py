"""Decompress compressed files in a folder or archive. Nested archives are rejected."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator

from charpipe.corpus.decompression import HEAD, DamagedError, Kind, decompress, kind_of
from charpipe.corpus.formats import document_format
from charpipe.corpus.limits import Limits
from charpipe.corpus.members import Member, read_fully, refused

_ARCHIVE = "an archive within the corpus: unpack it, or name it as a corpus of its own"


class Unpacker:
    """Opens members under limits for each member and for all of them together.

    `log`: if given, the path and sizes of every chunk that is decompressed, for `check` in another process.
    """

    def __init__(self, limits: Limits, log: list[tuple[str, int, int]] | None = None) -> None:
        self._limits = limits
        self._received = self._produced = 0
        self._log = log

    def check(self, log: Iterable[tuple[str, int, int]]) -> None:
        """Count what another Unpacker has decompressed. Raises LimitError as if it had been decompressed here."""
        for path, received, produced in log:
            self._received += received
            self._produced += produced
            self._limits.check_output(path, self._received, self._produced)

    def open(self, member: Member) -> Member:
        """Return the member, decompressed if it is compressed, or with `why_not` set if it is rejected.

        Raises OSError if it cannot be read or is damaged, LimitError if it unpacks beyond the limits; reading from
        the returned member raises the same.
        """
        head = read_fully(member.read, HEAD)
        if what := document_format(head):
            return refused(member.path, what, member.size)
        kind = kind_of(head)
        read = prepend(head, member.read)
        if kind == "plain":
            return Member(member.path, member.size, read)
        if kind in ("tar", "zip", "deb"):
            return refused(member.path, _ARCHIVE, member.size)
        return self._decompressed(member, read, kind)

    def _decompressed(self, member: Member, read: Callable[[int], bytes], kind: Kind) -> Member:
        received = 0

        def counted(size: int) -> bytes:
            nonlocal received
            data = read(size)
            received += len(data)
            self._received += len(data)
            return data

        chunks = decompress(counted, kind, member.path, self._limits, lambda: received)
        stream = _Stream(self._checked(chunks, member.path))
        head = stream.read(HEAD)
        why_not = document_format(head)
        if (inner := kind_of(head)) != "plain":
            why_not = _ARCHIVE if inner in ("tar", "zip", "deb") else "compressed twice: decompress it once"
        if why_not:
            return refused(member.path, why_not, member.size)
        return Member(member.path, -1, prepend(head, stream.read))

    def _checked(self, chunks: Iterator[bytes], path: str) -> Iterator[bytes]:
        received = self._received
        try:
            for chunk in chunks:
                self._produced += len(chunk)
                if self._log is not None:
                    self._log.append((path, self._received - received, len(chunk)))
                received = self._received
                self._limits.check_output(path, self._received, self._produced)
                yield chunk
        except DamagedError as error:
            if error.subject != path:
                raise  # the enclosing archive is damaged
            raise OSError(errno.EIO, f"its compressed content is damaged ({error.reason})") from error


class _Stream:
    """A readable stream over an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes unless the stream ends before."""
        parts, missing = [self._left[:size]], size - len(self._left)
        self._left = self._left[size:]
        while missing > 0 and (chunk := next(self._chunks, b"")):
            parts.append(chunk[:missing])
            self._left, missing = chunk[missing:], missing - len(chunk)
        return b"".join(parts)


def prepend(head: bytes, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """A `read` that returns `head` first; every call except the last returns the requested size."""
    left = head

    def prepended(size: int) -> bytes:
        nonlocal left
        if not left:
            return read(size)
        data, left = left[:size], left[size:]
        return data + read(size - len(data)) if len(data) < size else data

    return prepended
