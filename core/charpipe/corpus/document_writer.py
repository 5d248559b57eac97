"""Write documents as Parquet shards, one row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from charpipe.corpus.documents import NEWLINE_KEY, SCHEMA, Part, text_bounds

GROUP_BYTES = 24 * 10**6
"""Bytes of text after which a row group is written; the last part may add 16 MB."""
GROUP_ROWS = 1 << 16
SHARD_BYTES = 256 * 10**6


class DocumentWriter:
    """Writes rows to `documents-00000.parquet`, ... in a folder, one row group at a time."""

    def __init__(self, folder: Path, newline: str = "keep") -> None:
        self._folder = folder
        self._schema = SCHEMA.with_metadata({**SCHEMA.metadata, NEWLINE_KEY: newline.encode()})
        self._writer: pq.ParquetWriter | None = None
        self._rows: list[Part] = []
        self._batches: list[pa.RecordBatch] = []
        self._group = self._shard = self._count = 0
        self.shards = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._close()

    def add(self, part: Part) -> None:
        """Add a row; it is written with its row group."""
        self._rows.append(part)
        self._grown(1, len(part.text))

    def add_batch(self, rows: pa.RecordBatch) -> None:
        """Add rows read from other shards; the files are byte-identical to those from adding each row."""
        while rows.num_rows:
            ends = np.cumsum(np.diff(text_bounds(rows)))
            full = int(np.searchsorted(ends, GROUP_BYTES - self._group)) + 1
            taken = min(full, GROUP_ROWS - self._count, rows.num_rows)
            self._gather()
            self._batches.append(rows.slice(0, taken))
            self._grown(taken, int(ends[taken - 1]))
            rows = rows.slice(taken)

    def _grown(self, rows: int, size: int) -> None:
        self._count += rows
        self._group += size
        if self._group >= GROUP_BYTES or self._count >= GROUP_ROWS:
            self._flush()

    def _gather(self) -> None:
        if self._rows:
            self._batches.append(_batch(self._rows))
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
        self._shard += self._group
        self._batches, self._group, self._count = [], 0, 0
        if self._shard >= SHARD_BYTES:
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._shard = None, 0


def _batch(rows: Sequence[Part]) -> pa.RecordBatch:
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(row.text) for row in rows], out=offsets[1:])
    # the text is already UTF-8: build the column without decoding to str
    text = pa.StringArray.from_buffers(
        len(rows), pa.py_buffer(offsets), pa.py_buffer(b"".join(row.text for row in rows))
    )
    columns: list[Any] = [[getattr(row, name) for row in rows] for name in SCHEMA.names[:-1]]
    arrays = [pa.array(column, SCHEMA.field(at).type) for at, column in enumerate(columns)]
    return pa.record_batch([*arrays, text], schema=SCHEMA)
