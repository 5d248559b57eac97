"""The lists beside the documents: the files that were rejected, and the notes on documents with a tolerated problem."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from charpipe.errors import CorpusError

REJECTED = pa.schema([("path", pa.string()), ("reason", pa.string()), ("bytes", pa.int64())])
NOTES = pa.schema([("path", pa.string()), ("note", pa.string())])
GROUP_ROWS = 1 << 16


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


def read_notes(folder: Path) -> Iterator[tuple[str, str]]:
    """(path, note) of the documents with notes. Raises CorpusError for a damaged file."""
    return _pairs(folder / "notes.parquet", ("path", "note"))


def read_rejected(folder: Path) -> Iterator[tuple[str, str]]:
    """(path, reason) of the rejected files. Raises CorpusError for a damaged file."""
    return _pairs(folder / "rejected.parquet", ("path", "reason"))


def _pairs(path: Path, columns: tuple[str, str]) -> Iterator[tuple[str, str]]:
    if not path.is_file():
        return
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(GROUP_ROWS, columns=list(columns)):
                rows = zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
                yield from ((str(name), str(text)) for name, text in rows)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorpusError(
            f"{path} is damaged ({error}); nothing was changed. Run the ingest stage again (--force ingest)"
        ) from error
