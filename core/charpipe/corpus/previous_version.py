"""Incremental ingestion: copy unchanged documents from an earlier version of the corpus instead of reading them.

The output is byte-identical to that of a full read.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from charpipe.corpus.documents import read_batches
from charpipe.corpus.file_lists import read_notes
from charpipe.store.sqlite import temporary_database

_OUTLINE = ("path", "part", "sha256", "bytes", "encoding", "characters")
_TABLE = """
    CREATE TABLE documents (path TEXT PRIMARY KEY, start INTEGER, rows INTEGER, sha256 TEXT, bytes INTEGER,
                            encoding TEXT, characters INTEGER, note TEXT DEFAULT '', twice INTEGER DEFAULT 0)
"""
_INSERT = """
    INSERT INTO documents (path, start, rows, sha256, bytes, encoding, characters) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (path) DO UPDATE SET twice = 1
"""
_FIND = "SELECT start, rows, sha256, bytes, encoding, characters, note FROM documents WHERE path = ? AND NOT twice"


class Named(Protocol):
    """A mapping from stored paths to SHA-256, such as a dict."""

    def get(self, path: str, /) -> str | None: ...


@dataclass(frozen=True)
class UnchangedDocument:
    """A document of the earlier version: `rows` Parquet rows from row `start`, and its counts."""

    start: int
    rows: int
    sha256: str
    bytes: int
    encoding: str
    characters: int
    note: str = ""

    @property
    def stop(self) -> int:
        return self.start + self.rows


class PreviousVersion:
    """The documents in `folder`, which must have been ingested with the same settings.

    `contents`: each file's current SHA-256 by its stored path. Documents are copied in their stored order; one that is
    out of order is read instead.
    """

    def __init__(self, folder: Path, contents: Named) -> None:
        self._contents = contents
        self._known = _Outline(folder)
        self._batches = read_batches(folder)
        self._batch: pa.RecordBatch | None = None
        self._first = 0
        self._claimed = 0
        self.documents = 0
        """Number of copied documents."""

    def find(self, path: str) -> UnchangedDocument | None:
        """The document at `path` if it is unchanged and can still be copied, else None."""
        kept = self._known.find(path)
        if kept is None or kept.start < self._claimed or kept.sha256 != self._contents.get(path):
            return None
        return kept

    def claim(self, kept: UnchangedDocument) -> None:
        """Reserve this document for copying; earlier ones can no longer be copied."""
        self._claimed = kept.stop
        self.documents += 1

    def rows(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """The rows from `start` up to `stop`; each call must begin at or after the end of the previous one."""
        while start < stop:
            while self._batch is None or start >= self._first + self._batch.num_rows:
                self._first += self._batch.num_rows if self._batch is not None else 0
                self._batch = next(self._batches)
            found = self._batch.slice(start - self._first, stop - start)
            yield found
            start += found.num_rows


class _Outline:
    """Every document by its path, except those that share a path, in a temporary database."""

    def __init__(self, folder: Path) -> None:
        self._database = temporary_database(Path(tempfile.gettempdir()))
        weakref.finalize(self, self._database.close)
        self._database.execute(_TABLE)
        self._database.executemany(_INSERT, (each.values() for each in _documents(folder)))
        notes = ((note, path) for path, note in read_notes(folder))
        self._database.executemany("UPDATE documents SET note = ? WHERE path = ?", notes)
        self._last: tuple[str, UnchangedDocument | None] = ("", None)

    def find(self, path: str) -> UnchangedDocument | None:
        if self._last[0] != path:  # each file is looked up twice
            found = self._database.execute(_FIND, (path,)).fetchone()
            self._last = (path, None if found is None else UnchangedDocument(*found))
        return self._last[1]


@dataclass
class _Document:
    first: tuple[Any, ...] = field(default_factory=tuple)
    start: int = 0
    rows: int = 0
    characters: int = 0

    def values(self) -> tuple[Any, ...]:
        path, sha256, size, encoding = self.first
        return path, self.start, self.rows, sha256, size, encoding, self.characters


def _documents(folder: Path) -> Iterator[_Document]:
    document, row = _Document(), 0
    for batch in read_batches(folder, _OUTLINE):
        columns = (batch.column(name).to_pylist() for name in _OUTLINE)
        for path, part, sha256, size, encoding, characters in zip(*columns, strict=True):
            if part == 0:
                if document.rows:
                    yield document
                document = _Document((path, sha256, size, encoding), row)
            document.rows, document.characters = document.rows + 1, document.characters + characters
            row += 1
    if document.rows:
        yield document
