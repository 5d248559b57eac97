"""Ingestion: convert a source of any kind to documents in Parquet, in constant memory."""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.archives import FileMembers
from charpipe.corpus.compressed import Unpacker
from charpipe.corpus.decoding import PART, WAYS_OUT, Classifier, Verdict, chunk_bytes, classify, to_utf8
from charpipe.corpus.document_writer import DocumentWriter
from charpipe.corpus.documents import Part
from charpipe.corpus.ends import EMPTY, END, Divided, with_end
from charpipe.corpus.exclusions import LeftOut
from charpipe.corpus.file_lists import NotesWriter, RejectedWriter
from charpipe.corpus.ingestion_result import check_result
from charpipe.corpus.limits import Limits
from charpipe.corpus.members import NOTHING, Member, Progress, folder_members
from charpipe.corpus.previous_version import PreviousVersion, UnchangedDocument
from charpipe.corpus.selection import Selection
from charpipe.corpus.tally import Tally
from charpipe.errors import CorpusError
from charpipe.plugin import Fetched
from charpipe.store.paths import printable
from charpipe.store.sqlite import database_errors

_SPOOL_CHUNK = 4 * 2**20
_REPORT_BYTES = 4 * 2**20
READING = {"encoding", "errors", "newline", "drop", "documents", "ends"}
"""The settings of a corpus by which a file becomes documents."""
CR_ONLY = "its lines end with CR alone; to read them as LF, type --set corpus.newline=lf"


def ingest(
    fetched: Fetched,
    config: CorpusConfig,
    folder: Path,
    progress: Progress = lambda done, total: None,
    *,
    unchanged: Callable[[], bool] = lambda: True,
    earlier: PreviousVersion | None = None,
    limits: Limits | None = None,
    left_out: LeftOut = NOTHING,
) -> dict[str, Any]:
    """Write `documents-*.parquet` and `rejected.parquet` into the empty `folder`; returns the counts.

    `unchanged` is called at the end and says whether the source still has the fingerprint that was taken before. Files
    of a folder whose content is in the `earlier` documents are not read again.
    Raises CorpusError if the source holds no text or changed meanwhile, and for damaged or hostile archives.
    """
    limits = limits or Limits()
    selection = Selection.of(config, fetched.only)
    with (
        open_members(fetched, selection, limits, earlier, left_out) as (members, position, total),
        DocumentWriter(folder, config.form) as documents,
        RejectedWriter(folder) as rejected,
        NotesWriter(folder) as notes,
        database_errors(fetched.origin),
    ):
        tally = Tally(rejected, notes)
        work = Ingestion(config, folder, documents, tally, Unpacker(limits), earlier)
        reported = 0
        for member in members:
            work.take(member)
            if tally.counts["bytes"] - reported >= _REPORT_BYTES:
                reported = tally.counts["bytes"]
                progress(position() if position else reported, total)
        work.finish()
        documents.finish()
        facts = tally.facts(documents.shards)
    check_result(fetched, config, facts, tally.listed, unchanged)
    return facts


@contextmanager
def open_members(
    fetched: Fetched, selection: Selection, limits: Limits, earlier: PreviousVersion | None, left_out: LeftOut
) -> Iterator[tuple[Iterator[Member], Callable[[], int] | None, int | None]]:
    """The members of the source, and for a file a function that returns the read position, and its size."""
    if fetched.text is not None:
        data = io.BytesIO(fetched.text.encode())
        name = fetched.details.get("name", "text")
        yield iter([Member(name, len(fetched.text), lambda size: data.read(size))]), None, None
    elif fetched.path is None:
        raise CorpusError(f"{fetched.origin} holds neither a file nor a text")
    elif fetched.path.is_dir():
        yield folder_members(fetched.path, selection, _known(earlier), left_out), None, None
    else:
        try:
            source = fetched.path.open("rb", buffering=0)
        except OSError as error:
            raise CorpusError(f"{fetched.path} cannot be read: {error.strerror}") from error
        with source:
            name = fetched.details.get("name", fetched.path.name)
            members = FileMembers(source, name, selection, limits)
            yield iter(members), members.position, fetched.path.stat().st_size


def _known(earlier: PreviousVersion | None) -> Callable[[str], bool]:
    return lambda path: earlier is not None and earlier.find(printable(path)) is not None


class Documents(Protocol):
    """Takes the rows of the documents."""

    def add(self, part: Part) -> None: ...
    def add_batch(self, rows: pa.RecordBatch) -> None: ...


class Ingestion:
    """State of one call of `ingest`: reads members and writes rows."""

    def __init__(
        self,
        config: CorpusConfig,
        folder: Path,
        documents: Documents,
        tally: Tally,
        unpacker: Unpacker,
        earlier: PreviousVersion | None = None,
    ) -> None:
        self._config = config
        self._folder = folder
        self._documents = documents
        self._tally = tally
        self._unpacker = unpacker
        self._earlier = earlier
        self._taking = (0, 0)
        self._newlines: set[int] = set()

    def take(self, member: Member) -> None:
        """Write a member's text, or the reason why it is rejected."""
        path = printable(member.path)
        kept = self._earlier.find(path) if self._earlier is not None and not member.why_not else None
        if kept is not None:
            self._take_again(path, kept)
            return
        if member.why_not:
            self._reject(path, member.why_not, member.size)
            return
        try:
            member = self._unpacker.open(member)
            if member.why_not:
                self._reject(path, member.why_not, member.size)
                return
            data = member.read(PART + 1)
            if len(data) <= PART // 4 or (len(data) <= PART and data.isascii()):
                self._take_small(path, data)
            else:
                self._take_large(path, data, member)
        except OSError as error:
            self._reject(path, f"unreadable: {error.strerror or error}", member.size)

    def _take_again(self, path: str, kept: UnchangedDocument) -> None:
        """Mark an unchanged document's rows for copying; consecutive rows are copied together."""
        assert self._earlier is not None
        if kept.start != self._taking[1]:
            self._write_taken()
            self._taking = (kept.start, kept.start)
        self._earlier.claim(kept)
        self._taking = (self._taking[0], kept.stop)
        self._tally.counts["characters"] += kept.characters
        self._count(path, kept.bytes - self._config.ends, Verdict(kept.encoding, note=kept.note))

    def _write_taken(self) -> None:
        if self._earlier is not None:
            for rows in self._earlier.rows(*self._taking):
                self._documents.add_batch(rows)
            self._taking = (self._taking[1], self._taking[1])

    def _take_small(self, path: str, data: bytes) -> None:
        verdict = classify(data, self._config.encoding, self._config.errors)
        if not verdict.encoding:
            self._reject(path, verdict.why_not, len(data))
            return
        text = data
        changed = self._config.newline != "keep" or self._config.drop
        if verdict.encoding != "utf-8" or verdict.note or changed:
            try:
                text = b"".join(self._converted([data], verdict.encoding))
            except UnicodeError as error:
                self._reject(path, _not_throughout(verdict.encoding, error, len(data)), len(data))
                return
        self._write_all(path, hashlib.sha256(data).hexdigest(), len(data), verdict, [text])

    def _take_large(self, path: str, start: bytes, member: Member) -> None:
        """Read a document larger than one row twice: its encoding is known only at its end."""
        with tempfile.TemporaryFile(dir=self._folder) as spool:
            sha256, size, verdict = self._spool(spool, start, member)
            if not verdict.encoding:
                self._reject(path, verdict.why_not, size)
                return
            if verdict.encoding != "utf-8" and (fault := self._fault(spool, verdict.encoding)) is not None:
                self._reject(path, fault, size)
                return
            spool.seek(0)
            chunks = iter(lambda: spool.read(chunk_bytes(verdict.encoding)), b"")
            self._write_all(path, sha256, size, verdict, self._converted(chunks, verdict.encoding))

    def _write_all(self, path: str, sha256: str, size: int, verdict: Verdict, parts: Iterable[bytes]) -> None:
        """Write the documents of a file, and count them."""
        if self._config.documents != "file":
            self._write_divided(path, size, verdict, parts)
            return
        written, ends = -1, self._config.ends
        for written, text in enumerate(with_end(parts, path) if ends else parts):
            self._write(path, written, sha256, size + ends, verdict.encoding, text)
        if ends and written < 0:
            self._reject(path, EMPTY, size)
            return
        self._count(path, size, self._with_newlines(verdict))

    def _write_divided(self, path: str, size: int, verdict: Verdict, parts: Iterable[bytes]) -> None:
        divided, documents = Divided(parts, self._config, path), 0
        for number, text in divided:
            content = hashlib.sha256(text).hexdigest()
            self._write(f"{path}:{number}", 0, content, len(text), verdict.encoding, text)
            documents += 1
        if not documents:
            self._reject(path, EMPTY, size)
            return
        if divided.empty:
            left_out = "1 empty line is no document" if divided.empty == 1 else "empty lines are no documents"
            verdict = replace(verdict, note="; ".join(filter(None, (verdict.note, left_out))))
        verdict = self._with_newlines(verdict)
        self._tally.document(path, size, verdict.encoding, verdict.note, documents)

    def _converted(self, chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
        config = self._config
        return to_utf8(chunks, encoding, config.newline, config.errors, config.drop)

    def _fault(self, spool: BinaryIO, encoding: str) -> str | None:
        """Why the document as a whole is not in the encoding detected from its sample, or None."""
        spool.seek(0)
        chunks = iter(lambda: spool.read(chunk_bytes(encoding)), b"")
        try:
            for _ in to_utf8(chunks, encoding, "keep", self._config.errors):
                pass
        except UnicodeError as error:
            return _not_throughout(encoding, error, spool.tell())
        return None

    def _spool(self, spool: BinaryIO, start: bytes, member: Member) -> tuple[str, int, Verdict]:
        digest = hashlib.sha256()
        classifier = Classifier(self._config.encoding, self._config.errors)
        size = 0
        rest = memoryview(start)
        while chunk := bytes(rest[:_SPOOL_CHUNK]) or member.read(_SPOOL_CHUNK):
            rest = rest[_SPOOL_CHUNK:]
            digest.update(chunk)
            classifier.update(chunk)
            spool.write(chunk)
            size += len(chunk)
        return digest.hexdigest(), size, classifier.verdict()

    def _write(self, path: str, part: int, sha256: str, size: int, encoding: str, text: bytes) -> None:
        characters = len(text) if text.isascii() else len(text.decode())
        self._newlines |= {byte for byte in b"\r\n" if byte in text}
        self._write_taken()
        self._documents.add(Part(path, part, sha256, size, encoding, characters, text))
        self._tally.counts["characters"] += characters - (self._config.ends and text.endswith(END.encode()))

    def _with_newlines(self, verdict: Verdict) -> Verdict:
        """The verdict on the document just written, with a note if its lines end with CR alone."""
        found, self._newlines = self._newlines, set()
        if found != set(b"\r"):
            return verdict
        return replace(verdict, note="; ".join(filter(None, (verdict.note, CR_ONLY))))

    def _count(self, path: str, size: int, verdict: Verdict) -> None:
        self._tally.document(path, size, verdict.encoding, verdict.note)

    def _reject(self, path: str, reason: str, size: int) -> None:
        self._tally.reject(path, reason, size)

    def finish(self) -> None:
        """Write the rows that are still to be copied."""
        self._write_taken()


def _not_throughout(encoding: str, error: UnicodeError, read: int) -> str:
    """The reason that names the first bad byte; `read` is the number of bytes read until the error."""
    fault = str(error)
    if isinstance(error, UnicodeDecodeError):
        offset = read - len(error.object) + error.start
        fault = f"byte 0x{error.object[error.start]:02X} at offset {offset:,}"
    return f"starts as {encoding} but is not {encoding} throughout: {fault}; {WAYS_OUT}"
