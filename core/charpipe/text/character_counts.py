"""Character counts of a corpus, from which a vocabulary is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from charpipe.corpus.documents import texts
from charpipe.corpus.members import Progress
from charpipe.parallel import DIRECT, ParallelMap
from charpipe.text.pieces import Piece, pieces

_POINTS = 0x110000
_PIECE = 1 << 22
"""Characters counted at once where they are not ASCII: 16 MB of code points."""


def count(
    documents: Path, progress: Progress = lambda done, total: None, parallel: ParallelMap = DIRECT
) -> dict[str, int]:
    """Count every character of the documents, in code point order, in constant memory."""
    counts = np.zeros(_POINTS, np.int64)
    done = 0

    def waiting() -> None:
        progress(done, None)

    alone = parallel.processes == 1
    for size in _here(documents, counts) if alone else _apart(documents, counts, parallel, waiting):
        done += size
        progress(done, None)
    return {chr(point): int(counts[point]) for point in np.flatnonzero(counts).tolist()}


def _here(documents: Path, counts: np.ndarray[Any, Any]) -> Iterator[int]:
    for piece in pieces(documents):
        yield from count_piece(piece, counts)


def _apart(
    documents: Path, counts: np.ndarray[Any, Any], parallel: ParallelMap, waiting: Callable[[], None]
) -> Iterator[int]:
    calls = ({"piece": piece.to_json()} for piece in pieces(documents))
    for result in parallel.map(count_task, calls, waiting):
        counts[result["points"]] += np.array(result["counts"], np.int64)
        yield result["bytes"]


def count_piece(piece: Piece, counts: np.ndarray[Any, Any]) -> Iterator[int]:
    """Add the characters of a piece to `counts` (int64, by code point); yields the bytes of each row group."""
    for batch in piece.batches(["characters", "text"]):
        done = 0
        ascii_only = _Gathered(counts)
        for text in texts(batch):
            ascii_only.add(text)
            done += len(text)
        ascii_only.flush()
        yield done


def count_task(piece: dict[str, Any]) -> dict[str, Any]:
    """Count a piece in another process."""
    counts = np.zeros(_POINTS, np.int64)
    size = sum(count_piece(Piece(**piece), counts))
    points = np.flatnonzero(counts)
    return {"points": points.tolist(), "counts": counts[points].tolist(), "bytes": size}


class _Gathered:
    """Counts ASCII texts in place, and buffers other texts to count them together."""

    def __init__(self, counts: np.ndarray[Any, Any]) -> None:
        self._counts = counts
        self._others: list[str] = []
        self._gathered = 0

    def add(self, text: memoryview) -> None:
        data = np.frombuffer(text, np.uint8)
        if not len(data) or data.max() < 128:
            self._counts[:256] += count_bytes(data)
            return
        self._others.append(bytes(text).decode())
        self._gathered += len(self._others[-1])
        if self._gathered >= _PIECE:
            self.flush()

    def flush(self) -> None:
        joined = "".join(self._others)
        for start in range(0, len(joined), _PIECE):
            points = np.frombuffer(joined[start : start + _PIECE].encode("utf-32-le"), np.uint32)
            found = np.bincount(points)
            self._counts[: len(found)] += found
        self._others, self._gathered = [], 0


def count_bytes(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Count each of the 256 byte values. Large inputs are counted in pairs of bytes, which halves the work."""
    even = len(data) & ~1
    counts = np.zeros(256, np.int64)
    if even < 1 << 15:
        return counts + np.bincount(data, minlength=256)
    pairs = np.bincount(np.frombuffer(data[:even], np.uint16), minlength=1 << 16).reshape(256, 256)
    counts += pairs.sum(0) + pairs.sum(1)
    if even < len(data):
        counts[data[-1]] += 1
    return counts
