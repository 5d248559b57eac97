"""An earlier version of the same corpus: documents whose content is unchanged are taken from it, not read again.

What comes out is the same, byte for byte, as if everything had been read: only the time differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from charpipe.corpus.documents import read_batches, read_notes

_OUTLINE = ("path", "part", "sha256", "bytes", "encoding", "characters")


@dataclass
class Kept:
    """A document of the earlier version: `rows` of its Parquet from `start`, and what is counted of it."""

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


class Earlier:
    """The documents in `folder`, which were made with the same settings; `contents` says what each file's SHA-256
    is now, by its path as it is stored. They are taken in the order they lie in; what does not follow is read."""

    def __init__(self, folder: Path, contents: Mapping[str, str]) -> None:
        self._contents = contents
        self._documents = _outline(folder)
        self._batches = read_batches(folder)
        self._batch: pa.RecordBatch | None = None
        self._first = 0
        self._claimed = 0
        self.documents = 0
        """How many were taken."""

    def find(self, path: str) -> Kept | None:
        """The document at `path`, if it is unchanged and can still be taken."""
        kept = self._documents.get(path)
        if kept is None or kept.start < self._claimed or kept.sha256 != self._contents.get(path):
            return None
        return kept

    def claim(self, kept: Kept) -> None:
        """Say that this document will be taken, and nothing before it any more."""
        self._claimed = kept.stop
        self.documents += 1

    def rows(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """The rows from `start` up to `stop`; each call begins where the one before ended, or later."""
        while start < stop:
            while self._batch is None or start >= self._first + self._batch.num_rows:
                self._first += self._batch.num_rows if self._batch is not None else 0
                self._batch = next(self._batches)
            found = self._batch.slice(start - self._first, stop - start)
            yield found
            start += found.num_rows


def _outline(folder: Path) -> dict[str, Kept]:
    """Every document by its path; where two have one path, neither."""
    found: dict[str, Kept] = {}
    twice: set[str] = set()
    row = 0
    for batch in read_batches(folder, _OUTLINE):
        columns = (batch.column(name).to_pylist() for name in _OUTLINE)
        for path, part, sha256, size, encoding, characters in zip(*columns, strict=True):
            if part == 0:
                if path in found:
                    twice.add(path)
                found[path] = Kept(row, 0, sha256, size, encoding, 0)
            kept = found[path]
            kept.rows, kept.characters = kept.rows + 1, kept.characters + characters
            row += 1
    for path, note in read_notes(folder):
        if path in found:
            found[path].note = note
    return {path: kept for path, kept in found.items() if path not in twice}
