"""Decode bytes to text: UTF-8, UTF-16 or UTF-32; else a detected legacy encoding; else the document is binary.

Text is exact: a byte order mark is kept as U+FEFF, and newlines are kept unless the corpus sets `newline`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from charpipe.corpus.detection import SAMPLE, is_iso_2022_jp, legacy_encoding, nearly_utf8, wide_encoding

PART = 16_000_000
"""Maximum bytes of UTF-8 in one row of the documents."""
CONTROL_SHARE = 0.01
NULS, NUL_SHARE = 8, 0.1
"""UTF-8 text has at most NULS NUL bytes, or at most this share of its bytes, whichever is more."""
_NOT_CONTROL = bytes(byte for byte in range(256) if byte in b"\t\n\v\f\r" or (byte >= 32 and byte != 127))
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_HIDDEN = re.compile(rb"[\x00-\x08\x0c\x1b]")
"""ASCII bytes that suggest another encoding: UTF-16, ISO-2022-JP."""
WAYS_OUT = "name its encoding with --set corpus.encoding=NAME, or read on with --set corpus.errors=replace"


@dataclass(frozen=True)
class Verdict:
    """The encoding of a document, or (with `encoding` empty) why it is rejected; `note` says what was tolerated."""

    encoding: str
    why_not: str = ""
    note: str = ""


class Classifier:
    """Determines a document's encoding from its chunks, in constant memory."""

    def __init__(self, encoding: str | None = None, errors: str = "strict") -> None:
        self._forced = encoding
        self._errors = errors
        self._head = b""
        self._near = b""
        self._start: bytes | None = b""
        self._length = self._controls = self._nuls = 0
        self._utf8 = _Trial("utf-8")
        self._other = _Trial(encoding) if encoding else None

    def update(self, chunk: bytes) -> None:
        """Process the next chunk."""
        self._look_for_mark(chunk)
        if len(self._head) < SAMPLE:
            self._head += chunk[: SAMPLE - len(self._head)]
        was_ok = self._utf8.ok
        self._utf8.feed(chunk)
        if not was_ok:
            self._near += chunk[: SAMPLE - len(self._near)]
        elif not self._utf8.ok:
            self._near = self._utf8.rest[:SAMPLE]
        self._length += len(chunk)
        self._nuls += chunk.count(0)
        self._controls += len(chunk.translate(None, _NOT_CONTROL))

    def _look_for_mark(self, chunk: bytes, final: bool = False) -> None:
        """Decode with the encoding that is configured or that a byte order mark (at most four bytes) gives."""
        if self._other is None and self._start is not None:
            self._start += chunk
            if len(self._start) < 4 and not final:
                return
            chunk, start = self._start, self._start
            self._start = None
            marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
            self._other = _Trial(marked) if marked else None
        if self._other is not None:
            self._other.feed(chunk)

    def verdict(self) -> Verdict:
        """The verdict; call it after the last chunk."""
        self._look_for_mark(b"", final=True)
        if self._other is not None and (self._forced or self._other.ok):
            return self._named(self._other)
        if (self._nuls or self._controls) and (wide := wide_encoding(self._head)):
            return Verdict(wide, note=f"read as {wide}")
        if self._utf8.ok and is_iso_2022_jp(self._head):
            return Verdict("iso2022_jp", note="read as iso2022_jp")
        cut = self._utf8.cut
        sample = self._head + (self._near if self._utf8.bad_at >= SAMPLE else b"")
        near = (bool(cut) or not self._utf8.ok) and nearly_utf8(sample)
        if self._utf8.ok and (not cut or near or len(cut) > 1):
            if self._nuls > max(NULS, NUL_SHARE * self._length):
                return Verdict("", "binary: with many NUL")
            return Verdict("utf-8", note=_cut_off(cut) or ("holds NUL characters" if self._nuls else ""))
        if self._nuls and self._other is not None and self._other.malformed:
            return self._marked(self._other)
        if self._nuls:
            return Verdict("", "binary: not UTF-8, and with NUL")
        if self._controls >= CONTROL_SHARE * self._length:
            return Verdict("", "binary: not UTF-8, and with many control characters")
        if not near and (found := legacy_encoding(sample)):
            return Verdict(found, note=f"read as {found}")
        if self._errors == "replace":
            return Verdict("utf-8", note="bytes that are not UTF-8 were replaced by U+FFFD")
        problem = "not quite UTF-8" if near else "in no encoding that was recognised"
        return Verdict("", f"{problem}: {self._utf8.fault}; {WAYS_OUT}")

    def _marked(self, trial: _Trial) -> Verdict:
        if self._errors == "replace":
            return self._named(trial)
        return Verdict(
            "",
            f"not quite {trial.encoding}, the encoding of its byte order mark: {trial.fault}; "
            f"not UTF-8 either, and with NUL; {WAYS_OUT}",
        )

    def _named(self, trial: _Trial) -> Verdict:
        if trial.ok:
            return Verdict(trial.encoding, note=_cut_off(trial.cut))
        if self._errors == "replace":
            return Verdict(
                trial.encoding, note=f"bytes that are not {trial.encoding} were replaced by U+FFFD"
            )
        return Verdict(
            "", f"not {trial.encoding}, the encoding that the corpus names: {trial.fault}; {WAYS_OUT}"
        )


class _Trial:
    """Whether a stream is valid in an encoding, and its first bad byte; UTF-16 with NUL is not valid."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.ok = True
        self.bad_at = 0
        self.rest = b""
        """The bytes from the first bad byte to the end of its chunk."""
        self._fault = ""
        self._fed = 0
        self._decoder = codecs.getincrementaldecoder(encoding)()

    @property
    def cut(self) -> bytes:
        """The bytes of an incomplete last character."""
        return _pending(self._decoder)

    @property
    def fault(self) -> str:
        """The first bad byte, in words."""
        return self._fault or ("its last character is incomplete" if self.ok else "it holds NUL")

    @property
    def malformed(self) -> bool:
        """Whether there are undecodable bytes, which U+FFFD can replace."""
        return bool(self.rest)

    def feed(self, chunk: bytes) -> None:
        if not self.ok:
            return
        held = len(self.cut)
        try:
            text = self._decoder.decode(chunk)
            self.ok = not (self.encoding.startswith("utf-16") and "\0" in text)
        except UnicodeDecodeError as error:
            self.ok = False
            self.bad_at = self._fed - held + error.start
            self.rest = error.object[error.start :]
            self._fault = f"byte 0x{error.object[error.start]:02X} at offset {self.bad_at:,}"
        except UnicodeError as error:  # UTF-16 by name, without a byte order mark
            self.ok = False
            self._fault = f"{error} (for UTF-16 without a byte order mark name utf-16-le or utf-16-be)"
        self._fed += len(chunk)


def _pending(decoder: codecs.IncrementalDecoder) -> bytes:
    held = decoder.getstate()[0]
    return held if isinstance(held, bytes) else b""


def _cut_off(cut: bytes) -> str:
    return f"its last character is cut off: {len(cut)} bytes at its end were left out" if cut else ""


def classify(data: bytes, encoding: str | None = None, errors: str = "strict") -> Verdict:
    """The verdict on a document that is in memory."""
    if encoding is None and data.isascii() and not _HIDDEN.search(data):
        return Verdict("utf-8")
    classifier = Classifier(encoding, errors)
    classifier.update(data)
    return classifier.verdict()


def chunk_bytes(encoding: str) -> int:
    """Bytes of a document per part. UTF-8 is at most four times as long as any other encoding."""
    return PART - 8 if encoding == "utf-8" else PART // 4


def to_utf8(
    chunks: Iterable[bytes], encoding: str, newline: str = "keep", errors: str = "strict", drop: str = ""
) -> Iterator[bytes]:
    """Convert a document to UTF-8, part by part, without the characters `drop`; characters are not split between parts.

    An incomplete last character is dropped. Raises UnicodeDecodeError for other bad bytes, unless `errors` is
    "replace".
    """
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    held, dropped = b"", dict.fromkeys(map(ord, drop))
    for chunk, final in _with_last(chunks):
        decoded = decoder.decode(chunk, final and not _pending(decoder))
        part = held + (decoded.translate(dropped) if dropped else decoded).encode()
        held = b""
        if newline == "lf":
            if part.endswith(b"\r") and not final:
                part, held = part[:-1], b"\r"
            part = part.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if part:
            yield part


def _with_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each chunk with False, and then an empty chunk with True, which marks the end."""
    for chunk in chunks:
        yield chunk, False
    yield b"", True
