"""Detect file types by their first bytes, decompress streams, and read ahead.

Decompression runs in its own thread (the libraries release the GIL), so that it overlaps with hashing and writing. A
bounded queue limits memory.
"""

from __future__ import annotations

import bz2
import io
import lzma
import queue
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import zstandard

from charpipe.corpus.limits import Limits
from charpipe.errors import CorpusError

CHUNK = 2 * 2**20
DEPTH = 6
"""Maximum number of chunks that the reading thread is ahead."""

Kind = Literal["gzip", "bzip2", "xz", "zstd", "zip", "deb", "tar", "plain"]
_BITE = 1 << 12
HEAD = 512
"""Bytes needed to recognize every kind: tar's magic number is at offset 257."""


def kind_of(head: bytes) -> Kind:
    """The kind of a file, by its first HEAD bytes; its name is ignored."""
    marks: list[tuple[bytes, Kind]] = [
        (b"\x1f\x8b\x08", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"PK\x03\x04", "zip"),
        (b"PK\x05\x06", "zip"),
        (b"!<arch>\ndebian-binary", "deb"),
    ]
    for mark, kind in marks:
        if head.startswith(mark):
            # a text may begin with "BZh"; only the magic number of the first block is conclusive
            if kind == "bzip2" and head[4:10] not in (b"1AY&SY", b"\x17rE8P\x90"):
                continue
            return kind
    return "tar" if head[257:262] == b"ustar" else "plain"


class DamagedError(CorpusError):
    """The compressed stream `subject` is damaged or cut short."""

    def __init__(self, subject: str, reason: object) -> None:
        super().__init__(
            f"{subject} is damaged ({reason}); nothing of it was kept. Fetch it again, or name another file"
        )
        self.subject, self.reason = subject, reason


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


_NEW: dict[str, Callable[[], _Decompressor]] = {
    "xz": lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=256 * 2**20),
    "bzip2": bz2.BZ2Decompressor,
    "gzip": lambda: zlib.decompressobj(wbits=31),
}


def decompress(
    read: Callable[[int], bytes], kind: Kind, subject: str, limits: Limits, received: Callable[[], int]
) -> Iterator[bytes]:
    """Decompress what `read` returns, in chunks of at most CHUNK bytes.

    `received` returns how much of the outermost file has been read: nested archives share one limit.
    Raises DamagedError if the stream is damaged or cut short, LimitError if it unpacks beyond `limits`.
    """
    produced = 0

    def pull() -> bytes:
        return read(CHUNK // 8)

    chunks = _zstd_chunks(pull) if kind == "zstd" else _stream_chunks(pull, kind)
    try:
        for chunk in chunks:
            produced += len(chunk)
            limits.check_output(subject, received(), produced)
            yield chunk
    except (OSError, EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError) as error:
        raise DamagedError(subject, error) from error


def _stream_chunks(pull: Callable[[], bytes], kind: Kind) -> Iterator[bytes]:
    """Decompress xz, bzip2 or gzip. Each may consist of several concatenated streams, padded with NUL."""
    data = pull()
    while data:
        decoder = _NEW[kind]()
        while not decoder.eof:
            chunk, data = _step(decoder, data)
            if chunk:
                yield chunk
            elif not data and not decoder.eof:
                data = pull()
                if not data:
                    raise EOFError("it ends too early")
        data = decoder.unused_data.lstrip(b"\0") or pull().lstrip(b"\0")


def _step(decoder: _Decompressor, data: bytes) -> tuple[bytes, bytes]:
    """At most CHUNK bytes of output, and the input that is not consumed yet."""
    if isinstance(decoder, lzma.LZMADecompressor | bz2.BZ2Decompressor):
        # these buffer unconsumed input themselves
        return decoder.decompress(data, CHUNK), b""
    chunk: bytes = decoder.decompress(data, CHUNK)  # type: ignore[attr-defined]
    return chunk, decoder.unconsumed_tail  # type: ignore[attr-defined]


def _zstd_chunks(pull: Callable[[], bytes]) -> Iterator[bytes]:
    """Decompress zstd frames.

    The input is fed in small pieces, because each is unpacked whole: at most 128 kB for every 4 bytes.
    """
    data = pull()
    while data:
        decoder = zstandard.ZstdDecompressor(max_window_size=2**27).decompressobj()
        out: list[bytes] = []
        while not decoder.eof:
            data = data or pull()
            if not data:
                raise EOFError("it ends too early")
            bite, data = data[:_BITE], data[_BITE:]
            out.append(decoder.decompress(bite))
            if sum(map(len, out)) >= CHUNK // 4 or decoder.eof:
                yield from filter(None, [b"".join(out)])
                out = []
        data = decoder.unused_data + data or pull()


class ReadAhead(io.RawIOBase):
    """A stream over chunks that a separate thread produces; `read` raises the thread's errors."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(DEPTH)
        self._stop = threading.Event()
        self._left = memoryview(b"")
        self._ended = False
        self._thread = threading.Thread(target=self._work, args=(chunks,), name="read-ahead", daemon=True)
        self._thread.start()

    def _work(self, chunks: Iterator[bytes]) -> None:
        try:
            for chunk in chunks:
                if not self._put(chunk):
                    return
            self._put(None)
        except BaseException as error:  # `read` raises it
            self._put(error)

    def _put(self, item: bytes | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes unless the stream ends before."""
        if size < 0:
            raise ValueError("a stream of any length is not read whole")
        if size <= len(self._left):
            taken, self._left = self._left[:size], self._left[size:]
            return bytes(taken)
        parts = [bytes(self._left)]
        missing = size - len(self._left)
        self._left = memoryview(b"")
        while missing and self._fill():
            taken, self._left = self._left[:missing], self._left[missing:]
            parts.append(bytes(taken))
            missing -= len(taken)
        return b"".join(parts)

    def unread(self, data: bytes) -> None:
        """Put back the data that was read last."""
        self._left = memoryview(data + bytes(self._left))

    def skip(self, size: int) -> bool:
        """Skip `size` bytes without copying them; returns False if the stream ends before."""
        while size > len(self._left):
            size -= len(self._left)
            if not self._fill():
                self._left = memoryview(b"")
                return False
        self._left = self._left[size:]
        return True

    def _fill(self) -> bool:
        if self._ended:
            return False
        item = self._queue.get()
        if isinstance(item, bytes):
            self._left = memoryview(item)
            return True
        self._ended = True
        if item is not None:
            raise item
        return False

    def close(self) -> None:
        self._stop.set()
        if not self.closed:
            self._thread.join(timeout=10)
        super().close()
