"""The outline of documents: everything but their text, in columns on disk.

A row is a part of a document, as in the Parquet shards; `first_row` says where each document begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from charpipe.corpus.documents import kept_newlines, read_batches
from charpipe.errors import CorpusError
from charpipe.text.columns import (
    CHUNK,
    Array,
    ColumnWriter,
    StringsWriter,
    new_column,
    open_column,
    open_strings,
)

_COLUMNS = ("path", "part", "sha256", "bytes", "encoding", "characters")


@dataclass(frozen=True)
class Outline:
    """The documents, in the order of the corpus.

    `paths`, `contents` (SHA-256), `first_row`: of each document. `characters`: of each row. `total`: all characters.
    `sizes`: the bytes of each document's text in UTF-8, or None if they are unknown without reading the texts.
    """

    paths: pa.LargeStringArray
    contents: pa.LargeStringArray
    first_row: Array
    characters: Array
    sizes: Array | None
    total: int

    @property
    def documents(self) -> int:
        return len(self.first_row)

    @property
    def rows(self) -> int:
        return len(self.characters)

    @property
    def has_parts(self) -> bool:
        """Whether a document has more than one row."""
        return self.rows != self.documents

    def has_parts_in(self, row: int, rows: int) -> bool:
        """Whether any of these rows is one of several of its document."""
        stop = min(row + rows + 1, self.rows)
        documents = np.searchsorted(self.first_row, np.arange(row, stop), "right") - 1
        return bool(rows) and (
            bool((np.diff(documents) == 0).any()) or int(self.first_row[documents[0]]) != row
        )

    def per_document(self, values: Array, start: int, stop: int) -> Array:
        """The sums of a column of rows for the documents [start, stop)."""
        if not self.has_parts:
            return np.asarray(values[start:stop])
        if start == stop:
            return np.empty(0, values.dtype)
        first = int(self.first_row[start])
        last = int(self.first_row[stop]) if stop < self.documents else self.rows
        found: Array = np.add.reduceat(values[first:last], self.first_row[start:stop] - first)
        return found

    def summed(self, values: Array, path: Path) -> Array:
        """The sums of a column of rows for every document, as a column at `path` if they differ from the rows."""
        if not self.has_parts:
            return values
        sums = new_column(path, "i8", self.documents)
        for start, stop in self.chunks():
            sums[start:stop] = self.per_document(values, start, stop)
        return sums

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Ranges of documents that are processed at once."""
        for start in range(0, self.documents, CHUNK):
            yield start, min(start + CHUNK, self.documents)


def write_outline(documents: Path, folder: Path) -> Outline:
    """Read the outline of `documents` into columns in `folder`. Raises CorpusError for parts out of order."""
    with ExitStack() as stack:
        writer = _Writer(documents, folder, stack)
        for batch in read_batches(documents, _COLUMNS):
            writer.add(batch)
    return _open(folder, writer.total, writer.exact and kept_newlines(documents))


def _open(folder: Path, total: int, exact: bool) -> Outline:
    return Outline(
        open_strings(folder / "paths"),
        open_strings(folder / "contents"),
        open_column(folder / "first_row", "i8"),
        open_column(folder / "characters", "i8"),
        open_column(folder / "sizes", "i8") if exact else None,
        total,
    )


class _Writer:
    def __init__(self, documents: Path, folder: Path, stack: ExitStack) -> None:
        self._documents = documents
        self._paths = stack.enter_context(StringsWriter(folder / "paths"))
        self._contents = stack.enter_context(StringsWriter(folder / "contents"))
        self._columns = {
            name: stack.enter_context(ColumnWriter(folder / name, "i8"))
            for name in ("first_row", "characters", "sizes")
        }
        self._last: Any = None
        self._rows = self.total = 0
        self.exact = True
        """Whether every document is UTF-8 as received."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        begins = batch.column("part").to_numpy() == 0
        starts = np.flatnonzero(begins)
        if len(starts) < batch.num_rows:
            self._check_order(batch, begins)
        if batch.num_rows:
            self._last = batch.column("path")[batch.num_rows - 1].as_py()
        chosen = pa.array(starts)
        self._paths.append(pc.take(batch.column("path"), chosen))
        self._contents.append(pc.take(batch.column("sha256"), chosen))
        self._columns["sizes"].append(batch.column("bytes").to_numpy()[starts])
        self._columns["first_row"].append(starts + self._rows)
        characters = batch.column("characters").to_numpy()
        self._columns["characters"].append(characters)
        self._rows += batch.num_rows
        self.total += int(characters.sum())
        self.exact = self.exact and pc.all(pc.equal(batch.column("encoding"), "utf-8")).as_py() is not False

    def _check_order(self, batch: pa.RecordBatch, begins: Array) -> None:
        paths = batch.column("path")
        for row in np.flatnonzero(~begins).tolist():
            before = paths[row - 1].as_py() if row else self._last
            if paths[row].as_py() != before:
                raise CorpusError(
                    f"{self._documents}: part {batch.column('part')[row].as_py()} of {paths[row].as_py()!r} does not "
                    "follow the part before it"
                )
