"""Documents in Parquet: the schema, and writing and reading the shards.

A row is a part of a document of at most 16 MB: `path`, `part` (0, 1, ...), `sha256` and `bytes` of the whole document
as received, its `encoding`, and the `characters` and `text` of the part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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
REJECTED = pa.schema([("path", pa.string()), ("reason", pa.string()), ("bytes", pa.int64())])
NOTES = pa.schema([("path", pa.string()), ("note", pa.string())])
GROUP_BYTES = 24 * 10**6
"""Bytes of text after which a row group is written; the last part may add 16 MB."""
GROUP_ROWS = 1 << 16
_NEWLINE = b"charpipe.newline"
SHARD_BYTES = 256 * 10**6
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


class DocumentWriter:
    """Writes rows to `documents-00000.parquet`, ... in a folder, one row group at a time."""

    def __init__(self, folder: Path, newline: str = "keep") -> None:
        self._folder = folder
        self._schema = SCHEMA.with_metadata({**SCHEMA.metadata, _NEWLINE: newline.encode()})
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


class RejectedWriter:
    """Writes `rejected.parquet`: every selected file that was not ingested, with the reason."""

    def __init__(self, folder: Path) -> None:
        self._writer = pq.ParquetWriter(folder / "rejected.parquet", REJECTED, compression="zstd")
        self._rows: list[tuple[str, str, int]] = []
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, path: str, reason: str, size: int) -> None:
        """Add one rejected file."""
        self.count += 1
        self._rows.append((path, reason, max(size, 0)))
        if len(self._rows) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            self._writer.write_batch(pa.record_batch([list(column) for column in columns], schema=REJECTED))
        self._rows = []


class NotesWriter:
    """Writes `notes.parquet`: the documents with a tolerated problem. Without notes there is no file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "notes.parquet"
        self._writer: pq.ParquetWriter | None = None
        self._rows: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()

    def add(self, path: str, note: str) -> None:
        """Add the note of one document."""
        self._rows.append((path, note))
        if len(self._rows) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer = self._writer or pq.ParquetWriter(self._path, NOTES, compression="zstd")
            columns = zip(*self._rows, strict=True)
            self._writer.write_batch(pa.record_batch([list(column) for column in columns], schema=NOTES))
        self._rows = []


def read_notes(folder: Path, limit: int | None = None) -> list[tuple[str, str]]:
    """(path, note) of the documents with notes. Raises CorpusError for a damaged file."""
    return _pairs(folder / "notes.parquet", ("path", "note"), limit)


def read_rejected(folder: Path, limit: int | None = None) -> list[tuple[str, str]]:
    """(path, reason) of the rejected files. Raises CorpusError for a damaged file."""
    return _pairs(folder / "rejected.parquet", ("path", "reason"), limit)


def _pairs(path: Path, columns: tuple[str, str], limit: int | None) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if not path.is_file():
        return found
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(columns=list(columns)):
                rows = zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
                found += [(str(name), str(text)) for name, text in rows]
                if limit is not None and len(found) >= limit:
                    return found[:limit]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(
            f"{path} is damaged ({error}); nothing was changed. Run the ingest stage again (--force ingest)"
        ) from error
    return found


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
        try:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                _check_schema(path, file)
                for group in range(file.num_row_groups):
                    table = file.read_row_group(
                        group, columns=list(columns or SCHEMA.names), use_threads=False
                    )
                    for batch in table.combine_chunks().to_batches():
                        batch.validate(full=True)
                        yield batch
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
    """Whether newlines were kept as received; then a UTF-8 text has as many bytes as its document."""
    found = [pq.read_schema(path).metadata or {} for path in shards(folder)]
    return all(metadata.get(_NEWLINE) == b"keep" for metadata in found)


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
