"""Columns on disk: arrays of any length in temporary files, mapped into memory when they are read.

Mapped pages belong to the page cache, which the system frees as it needs to, so that a column costs no anonymous memory
however long it is.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Array = np.ndarray[Any, Any]
CHUNK = 1 << 18
"""Elements that are processed at once."""


class ColumnWriter:
    """Appends arrays of one type to a file."""

    def __init__(self, path: Path, dtype: str) -> None:
        self._file = path.open("wb")
        self._dtype = np.dtype(dtype)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, values: Any) -> None:
        """Append the values, converted to the column's type."""
        self._file.write(np.ascontiguousarray(values, self._dtype).data)


def open_column(path: Path, dtype: str) -> Array:
    """Map a column; its values can be changed."""
    if not path.stat().st_size:
        return np.empty(0, dtype)
    return np.memmap(path, dtype, "r+")


def new_column(path: Path, dtype: str, length: int) -> Array:
    """Create and map a column of zeros."""
    if not length:
        return np.empty(0, dtype)
    return np.memmap(path, dtype, "w+", shape=(length,))


class StringsWriter:
    """Appends strings to a pair of files: their UTF-8, and where each begins."""

    def __init__(self, path: Path) -> None:
        self._data = path.with_suffix(".utf8").open("wb")
        self._offsets = ColumnWriter(path.with_suffix(".offsets"), "i8")
        self._offsets.append([0])
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._data.close()
        self._offsets.__exit__(kind, error, trace)

    def append(self, strings: pa.Array) -> None:
        """Append an Arrow array of strings without nulls."""
        if not len(strings):
            return
        large = strings.cast(pa.large_string())
        offsets = np.frombuffer(large.buffers()[1], np.int64)[large.offset : large.offset + len(large) + 1]
        data = large.buffers()[2]
        if data is not None:
            self._data.write(memoryview(data)[offsets[0] : offsets[-1]])
        self._offsets.append(offsets[1:] - offsets[0] + self._end)
        self._end += int(offsets[-1] - offsets[0])


def open_strings(path: Path) -> pa.LargeStringArray:
    """Map a column of strings."""
    offsets, data = _mapped(path.with_suffix(".offsets")), _mapped(path.with_suffix(".utf8"))
    return pa.LargeStringArray.from_buffers(offsets.size // 8 - 1, offsets, data)


def taken(strings: pa.LargeStringArray, at: Array) -> pa.StringArray:
    """The strings at these indices, in memory."""
    return pc.take(strings, pa.array(at, pa.int64())).cast(pa.string())


def _mapped(path: Path) -> pa.Buffer:
    if not path.stat().st_size:
        return pa.py_buffer(b"")
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()
