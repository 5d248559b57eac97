"""Incremental ingestion: copy unchanged documents from an earlier version of the corpus instead of reading them.

The output is byte-identical to that of a full read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from charpipe.corpus.documents import read_batches
from charpipe.corpus.file_lists import read_notes

_OUTLINE = ("path", "part", "sha256", "bytes", "encoding", "characters")


@dataclass
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

    def __init__(self, folder: Path, contents: Mapping[str, str]) -> None:
        self._contents = contents
        self._documents = _outline(folder)
        self._batches = read_batches(folder)
        self._batch: pa.RecordBatch | None = None
        self._first = 0
        self._claimed = 0
        self.documents = 0
        """Number of copied documents."""

    def find(self, path: str) -> UnchangedDocument | None:
        """The document at `path` if it is unchanged and can still be copied, else None."""
        kept = self._documents.get(path)
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


def _outline(folder: Path) -> dict[str, UnchangedDocument]:
    """Every document by its path, except those that share a path."""
    found: dict[str, UnchangedDocument] = {}
    twice: set[str] = set()
    row = 0
    for batch in read_batches(folder, _OUTLINE):
        columns = (batch.column(name).to_pylist() for name in _OUTLINE)
        for path, part, sha256, size, encoding, characters in zip(*columns, strict=True):
            if part == 0:
                if path in found:
                    twice.add(path)
                found[path] = UnchangedDocument(row, 0, sha256, size, encoding, 0)
            kept = found[path]
            kept.rows, kept.characters = kept.rows + 1, kept.characters + characters
            row += 1
    for path, note in read_notes(folder):
        if path in found:
            found[path].note = note
    return {path: kept for path, kept in found.items() if path not in twice}
