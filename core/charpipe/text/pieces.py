"""Pieces of a corpus: consecutive row groups of one shard, which one process reads at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from charpipe.corpus.documents import open_shard, read_groups, shards
from charpipe.text.columns import Array

PIECE_BYTES = 32 * 10**6
"""Bytes of text after which a piece ends; a row group is never divided."""


@dataclass(frozen=True)
class Piece:
    """The row groups [start, stop) of the shard `path`, and the number of their first row in the corpus."""

    path: str
    start: int
    stop: int
    first_row: int
    rows: int
    bytes: int

    def batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Read the piece, one row group at a time."""
        return read_groups(Path(self.path), columns, self.start, self.stop)

    def of(self, column: Array) -> Array:
        """The piece's part of a column of all rows."""
        return column[self.first_row : self.first_row + self.rows]

    def to_json(self) -> dict[str, Any]:
        """The piece as JSON, for another process."""
        return asdict(self)


def pieces(documents: Path) -> Iterator[Piece]:
    """Divide the documents into pieces, in order."""
    first_row = 0
    for path in shards(documents):
        with open_shard(path) as file:
            groups = [file.metadata.row_group(at) for at in range(file.num_row_groups)]
            found = [(group.num_rows, group.total_byte_size) for group in groups]
        start = rows = size = 0
        for at, (count, bytes_) in enumerate(found):
            rows, size = rows + count, size + bytes_
            if size >= PIECE_BYTES or at == len(found) - 1:
                yield Piece(str(path), start, at + 1, first_row, rows, size)
                first_row, start, rows, size = first_row + rows, at + 1, 0, 0
