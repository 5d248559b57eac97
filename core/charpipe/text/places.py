"""Places: which part of which document is where in which split. They become `splits.parquet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from charpipe.text.columns import Array, open_column, taken
from charpipe.text.outline import Outline
from charpipe.text.splits import SPLITS

PLACE = np.dtype([(name, "i8") for name in ("document", "split", "start", "characters", "offset", "tokens")])
"""The part of a document in one split: it begins at character `start`, and at token `offset` of the split."""
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("split", pa.string()),
        ("start", pa.int64()),
        ("characters", pa.int64()),
        ("offset", pa.int64()),
        ("tokens", pa.int64()),
    ]
)
GROUP_ROWS = 1 << 16


def write_places(path: Path, outline: Outline, places: Iterable[Array]) -> None:
    """Write the places, arrays of PLACE in the order of the file, as Parquet."""
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for group in _grouped(places):
            columns = [
                taken(outline.paths, group["document"]),
                taken(outline.contents, group["document"]),
                pa.array(SPLITS).take(pa.array(group["split"])),
                *(pa.array(group[name]) for name in ("start", "characters", "offset", "tokens")),
            ]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))


def _grouped(places: Iterable[Array]) -> Iterator[Array]:
    """The same places in arrays of GROUP_ROWS; the last may be shorter."""
    held: list[Array] = []
    count = 0
    for some in places:
        held.append(some)
        count += len(some)
        while count >= GROUP_ROWS:
            every = np.concatenate(held)
            yield every[:GROUP_ROWS]
            held, count = [every[GROUP_ROWS:]], count - GROUP_ROWS
    if count:
        yield np.concatenate(held)


def read_places(path: Path) -> Iterator[Array]:
    """The places that were appended to a column."""
    places = open_column(path, "i8").view(PLACE)
    for start in range(0, len(places), GROUP_ROWS):
        yield places[start : start + GROUP_ROWS]


def merged(
    written: Iterable[tuple[Array, Array]], paths: pa.LargeStringArray
) -> Iterator[tuple[Array, Array]]:
    """The totals and places of consecutive pieces of text, with places that continue one another as one."""
    held = np.empty(0, PLACE)
    for totals, found in written:
        places = _joined(np.concatenate([held, found]), paths)
        held = places[-1:]
        yield totals, places[:-1]
    yield np.zeros((3, len(SPLITS)), np.int64), held


def _joined(places: Array, paths: pa.LargeStringArray) -> Array:
    if len(places) < 2:
        return places
    names = taken(paths, places["document"])
    same = pc.equal(names[1:], names[:-1]).to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.append(True, ~same | (np.diff(places["split"]) != 0)))
    found = places[starts].copy()
    for name in ("characters", "tokens"):
        found[name] = np.add.reduceat(places[name], starts)
    return found
