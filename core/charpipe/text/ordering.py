"""Sort many documents by a hash in little memory: the hashes are on disk, and one range of them is sorted at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa

from charpipe.text.columns import CHUNK, Array, ColumnWriter, open_column

SORTED_AT_ONCE = 1 << 20
"""Documents of one range, on average."""


@dataclass(frozen=True)
class Hashes:
    """A 128-bit hash of each document, in two columns: `high` and `low`, uint64 `[documents]`."""

    high: Array
    low: Array


def hashed(strings: pa.LargeStringArray, folder: Path, name: str, key: bytes = b"") -> Hashes:
    """The BLAKE2b hashes of strings, keyed with `key`, as columns in `folder`."""
    high, low = folder / f"{name}.high", folder / f"{name}.low"
    with ColumnWriter(high, "u8") as highs, ColumnWriter(low, "u8") as lows:
        for start in range(0, len(strings), CHUNK):
            texts = strings[start : start + CHUNK].cast(pa.large_binary()).to_pylist()
            digests = b"".join(blake2b(text, digest_size=16, key=key).digest() for text in texts)
            words = np.frombuffer(digests, ">u8").reshape(-1, 2)
            highs.append(words[:, 0])
            lows.append(words[:, 1])
    return Hashes(open_column(high, "u8"), open_column(low, "u8"))


def in_order(hashes: Hashes) -> Iterator[Array]:
    """The indices of the documents in the order of their hashes, and of themselves where hashes are equal: int64."""
    count = len(hashes.high)
    bits = max(count // SORTED_AT_ONCE, 0).bit_length()
    for part in range(1 << bits):
        chosen = _in_range(hashes.high, part, bits)
        yield chosen[np.lexsort((hashes.low[chosen], hashes.high[chosen]))]


def runs(hashes: Hashes, indices: Array) -> Array:
    """The number of the run of equal hashes that each of these sorted documents is in: int64, from 0."""
    high, low = hashes.high[indices], hashes.low[indices]
    changes = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return np.concatenate([np.zeros(min(len(indices), 1), np.int64), np.cumsum(changes)])


def _in_range(high: Array, part: int, bits: int) -> Array:
    """The indices of the hashes whose first `bits` bits are `part`."""
    if not bits:
        return np.arange(len(high))
    shift = np.uint64(64 - bits)
    starts = range(0, len(high), CHUNK)
    found = [start + np.flatnonzero(high[start : start + CHUNK] >> shift == part) for start in starts]
    return np.concatenate(found)
