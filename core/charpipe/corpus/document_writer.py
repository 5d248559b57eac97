"""Write documents as Parquet shards, one row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from charpipe.corpus.documents import NEWLINE_KEY, SCHEMA, Part, text_bounds

GROUP_BYTES = 24 * 10**6
"""Bytes of text after which a row group is written; the last part may add 16 MB."""
GROUP_ROWS = 1 << 16
SHARD_BYTES = 256 * 10**6


@dataclass
class Boundaries:
    """Where row groups and shards end, which depends on the sizes of the rows before alone."""

    group_bytes: int = field(default_factory=lambda: GROUP_BYTES)
    group_rows: int = field(default_factory=lambda: GROUP_ROWS)
    shard_bytes: int = field(default_factory=lambda: SHARD_BYTES)
    group: int = 0
    rows: int = 0
    shard: int = 0

    def add(self, rows: int, size: int) -> bool:
        """Add rows with `size` bytes of text; returns whether their row group is full."""
        self.rows += rows
        self.group += size
        return self.group >= self.group_bytes or self.rows >= self.group_rows

    def end_group(self) -> bool:
        """End the row group; returns whether its shard is full."""
        self.shard += self.group
        self.group = self.rows = 0
        if self.shard < self.shard_bytes:
            return False
        self.shard = 0
        return True

    def fitting(self, ends: NDArray[np.int64]) -> int:
        """How many rows of a batch belong to the row group; `ends` are the sums of the sizes of its texts."""
        full = int(np.searchsorted(ends, self.group_bytes - self.group)) + 1
        return min(full, self.group_rows - self.rows, len(ends))


class DocumentWriter:
    """Writes rows to `documents-00000.parquet`, ... in a folder, one row group at a time.

    `first`: the number of the first shard.
    """

    def __init__(
        self, folder: Path, newline: str = "keep", first: int = 0, boundaries: Boundaries | None = None
    ) -> None:
        self._folder = folder
        self._schema = SCHEMA.with_metadata({**SCHEMA.metadata, NEWLINE_KEY: newline.encode()})
        self._writer: pq.ParquetWriter | None = None
        self._rows: list[Part] = []
        self._batches: list[pa.RecordBatch] = []
        self._boundaries = boundaries or Boundaries()
        self.shards = first

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        self._close()

    def finish(self) -> None:
        """Write the remaining rows."""
        self._flush()
        self._close()

    def add(self, part: Part) -> None:
        """Add a row; it is written with its row group."""
        self._rows.append(part)
        if self._boundaries.add(1, len(part.text)):
            self._flush()

    def add_batch(self, rows: pa.RecordBatch) -> None:
        """Add rows read from other shards; the files are byte-identical to those from adding each row."""
        while rows.num_rows:
            ends = np.cumsum(np.diff(text_bounds(rows)), dtype=np.int64)
            taken = self._boundaries.fitting(ends)
            self._gather()
            self._batches.append(rows.slice(0, taken))
            if self._boundaries.add(taken, int(ends[taken - 1])):
                self._flush()
            rows = rows.slice(taken)

    def _gather(self) -> None:
        if self._rows:
            self._batches.append(batch_of(self._rows))
            self._rows = []

    def _flush(self) -> None:
        self._gather()
        if not self._batches:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._folder / f"documents-{self.shards:05d}.parquet",
                self._schema,
                compression="zstd",
                compression_level=-1,  # output a fifth larger than at level 1, and a fifth faster
                use_dictionary=["encoding"],
                write_statistics=["part", "bytes", "characters"],
            )
            self.shards += 1
        group = pa.Table.from_batches([batch.cast(SCHEMA) for batch in self._batches]).combine_chunks()
        for batch in group.to_batches():
            self._writer.write_batch(batch.replace_schema_metadata(self._schema.metadata))
        self._batches = []
        if self._boundaries.end_group():
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def batch_of(rows: Sequence[Part]) -> pa.RecordBatch:
    """Rows as an Arrow batch."""
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(row.text) for row in rows], out=offsets[1:])
    # the text is already UTF-8: build the column without decoding to str
    text = pa.StringArray.from_buffers(
        len(rows), pa.py_buffer(offsets), pa.py_buffer(b"".join(row.text for row in rows))
    )
    columns: list[Any] = [[getattr(row, name) for row in rows] for name in SCHEMA.names[:-1]]
    arrays = [pa.array(column, SCHEMA.field(at).type) for at, column in enumerate(columns)]
    return pa.record_batch([*arrays, text], schema=SCHEMA)
