"""Bytes to text: UTF-8; UTF-16 with a byte order mark; else Latin-1 where it looks like text; else binary.

Text is exact: a byte order mark stays as U+FEFF, and newlines stay as they are unless the corpus asks.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PART = 16_000_000
"""Most bytes of UTF-8 in one row of the documents."""
CONTROL_SHARE = 0.01
_NOT_CONTROL = bytes(byte for byte in range(256) if byte in b"\t\n\v\f\r" or 32 <= byte < 127 or byte >= 0xA0)
_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True)
class Verdict:
    """The encoding of a document, or (with `encoding` empty) why it is no text."""

    encoding: str
    why_not: str = ""


class Classifier:
    """Tells a document's encoding from its chunks, in memory that does not grow."""

    def __init__(self, encoding: str | None = None) -> None:
        self._forced = encoding
        self._head = b""
        self._length = self._controls = self._nuls = 0
        self._utf8 = _Trial("utf-8")
        self._other = _Trial(encoding) if encoding else None

    def update(self, chunk: bytes) -> None:
        """Look at the next bytes."""
        if not self._length:
            self._head = chunk[:2]
            if self._other is None and self._head in dict(_MARKS):
                self._other = _Trial(dict(_MARKS)[self._head])
        self._length += len(chunk)
        self._utf8.feed(chunk)
        if self._other:
            self._other.feed(chunk)
        self._nuls += chunk.count(0)
        self._controls += len(chunk.translate(None, _NOT_CONTROL))

    def verdict(self) -> Verdict:
        """What it is, after the last chunk."""
        if self._forced:
            if self._other is not None and self._other.end():
                return Verdict(self._forced)
            return Verdict("", f"not {self._forced}, the encoding that the corpus names")
        if self._utf8.end():
            return Verdict("utf-8")
        if self._other is not None and self._other.end():
            return Verdict(self._other.encoding)
        if self._nuls:
            return Verdict("", "binary: not UTF-8, and with NUL")
        if self._controls >= CONTROL_SHARE * self._length:
            return Verdict("", "binary: not UTF-8, and with many control characters")
        return Verdict("latin-1")


class _Trial:
    """Whether a stream is valid in an encoding; UTF-16 that holds NUL is not taken for text."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.ok = True
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def feed(self, chunk: bytes, final: bool = False) -> None:
        if not self.ok:
            return
        try:
            text = self._decoder.decode(chunk, final)
            self.ok = not (self.encoding.startswith("utf-16") and "\0" in text)
        except UnicodeError:
            self.ok = False

    def end(self) -> bool:
        self.feed(b"", final=True)
        return self.ok


def classify(data: bytes, encoding: str | None = None) -> Verdict:
    """The verdict on a whole document."""
    if encoding is None and data.isascii():
        return Verdict("utf-8")
    classifier = Classifier(encoding)
    classifier.update(data)
    return classifier.verdict()


def chunk_bytes(encoding: str) -> int:
    """How many bytes of a document make one part: no encoding more than quadruples in UTF-8."""
    return PART - 8 if encoding == "utf-8" else PART // 4


def to_utf8(chunks: Iterable[bytes], encoding: str, newline: str = "keep") -> Iterator[bytes]:
    """The document's text in UTF-8, part by part; a character is never cut in two."""
    decoder = codecs.getincrementaldecoder(encoding)()
    held = b""
    for chunk, final in _with_last(chunks):
        part = held + decoder.decode(chunk, final).encode()
        held = b""
        if newline == "lf":
            if part.endswith(b"\r") and not final:
                part, held = part[:-1], b"\r"
            part = part.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if part:
            yield part


def _with_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each chunk, and at the end an empty one marked as the last."""
    for chunk in chunks:
        yield chunk, False
    yield b"", True
