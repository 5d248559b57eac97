"""Documents in Parquet: the schema, and reading the shards.

A row is a part of a document of at most 16 MB: `path`, `part` (0, 1, ...), `sha256` and `bytes` of the whole document
as received, its `encoding`, and the `characters` and `text` of the part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from charpipe.errors import CorpusError

SCHEMA_NAME = "charpipe.documents/1"
SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("encoding", pa.string(), nullable=False),
        pa.field("characters", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ],
    metadata={"charpipe.schema": SCHEMA_NAME},
)
NEWLINE_KEY = b"charpipe.newline"
"""The schema's metadata key of `CorpusConfig.form`."""
_LARGEST_GROUP = 512 * 10**6
"""Larger row groups are rejected: charpipe does not write them, and they would need too much memory."""


Utf8 = bytes
"""Alias of `bytes` for classes with a field of that name."""


@dataclass(frozen=True)
class Part:
    """One row; `text` is UTF-8 and holds `characters` characters."""

    path: str
    part: int
    sha256: str
    bytes: int
    encoding: str
    characters: int
    text: Utf8


def shards(folder: Path) -> list[Path]:
    """The document shards of a folder, in order. Raises CorpusError if there are none."""
    found = sorted(folder.glob("documents-*.parquet"))
    if not found:
        raise CorpusError(
            f"{folder} holds no documents-*.parquet; run the ingest stage again (--force ingest)"
        )
    return found


def read_batches(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read the documents, one row group at a time; column names, types and UTF-8 are checked.

    Raises CorpusError naming the file and the expected schema.
    """
    for path in shards(folder):
        yield from read_groups(path, columns)


def read_groups(
    path: Path, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Read the row groups [start, stop) of a shard, one at a time; raises as `read_batches` does."""
    with open_shard(path) as file:
        for group in range(start, file.num_row_groups if stop is None else stop):
            table = file.read_row_group(group, columns=list(columns or SCHEMA.names), use_threads=False)
            for batch in table.combine_chunks().to_batches():
                batch.validate(full=True)
                yield batch


@contextmanager
def open_shard(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a shard and check its schema. Raises CorpusError, also for errors of pyarrow while it is open."""
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            _check_schema(path, file)
            yield file
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorpusError(
            f"{path} is not a whole Parquet file of {SCHEMA_NAME} ({reason}); "
            "nothing was changed. Run the ingest stage again (--force ingest)"
        ) from error


def read_documents(folder: Path) -> Iterator[Part]:
    """Read every row in order, its text as UTF-8. Raises CorpusError like `read_batches`."""
    for batch in read_batches(folder):
        columns = [batch.column(name).to_pylist() for name in SCHEMA.names[:-1]]
        rows = zip(*columns, texts(batch), strict=True)
        for path, part, sha256, size, encoding, characters, text in rows:
            yield Part(path, part, sha256, size, encoding, characters, bytes(text))


def texts(batch: pa.RecordBatch) -> Iterator[memoryview]:
    """The `text` of each row as UTF-8, without copying; the views are valid as long as the batch."""
    _, _, data = batch.column("text").buffers()
    bounds = text_bounds(batch)
    view = memoryview(data) if data is not None else memoryview(b"")
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        yield view[start:stop]


def text_bounds(batch: pa.RecordBatch) -> NDArray[np.int32]:
    """The offset of each row's text in the column's bytes, and the end of the last one: int32 `[rows + 1]`."""
    column = batch.column("text")
    offsets = np.frombuffer(column.buffers()[1], np.int32)
    return offsets[column.offset : column.offset + len(column) + 1]


def kept_newlines(folder: Path) -> bool:
    """Whether texts were kept as received; then a UTF-8 text has as many bytes as its document."""
    found = [pq.read_schema(path).metadata or {} for path in shards(folder)]
    return all(metadata.get(NEWLINE_KEY) == b"keep" for metadata in found)


def _check_schema(path: Path, file: pq.ParquetFile) -> None:
    for field in SCHEMA:
        at = file.schema_arrow.get_field_index(field.name)
        if at < 0:
            raise CorpusError(
                f"{path} has no column {field.name!r}; {SCHEMA_NAME} needs {', '.join(SCHEMA.names)}"
            )
        found = file.schema_arrow.field(at).type
        if found != field.type:
            raise CorpusError(f"{path}: column {field.name!r} is {found}; {SCHEMA_NAME} needs {field.type}")
    for group in range(file.num_row_groups):
        if (claimed := file.metadata.row_group(group).total_byte_size) > _LARGEST_GROUP:
            raise CorpusError(
                f"{path}: row group {group} claims {claimed:,} bytes; {SCHEMA_NAME} has at most {_LARGEST_GROUP:,}"
            )
