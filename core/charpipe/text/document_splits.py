"""Assign the documents of an outline to splits, and order them, in little memory.

`assign_splits` and `shuffled` define the result; here it is computed with columns on disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from charpipe.config.settings.text import SplitConfig
from charpipe.corpus.file_splits import FileSplits
from charpipe.text.columns import CHUNK, Array, ColumnWriter, new_column, open_column, taken
from charpipe.text.ordering import Hashes, hashed, in_order, runs
from charpipe.text.outline import Outline
from charpipe.text.split_history import SplitHistory
from charpipe.text.splits import SPLITS, shuffle_key, split_key, splits_at

UNKNOWN = len(SPLITS)
"""The code of a document that no earlier version has; other codes are indices of SPLITS."""


def shuffled_order(outline: Outline, seed: int, folder: Path) -> tuple[Array, Hashes]:
    """The shuffled order of the documents (int64), and the hashes of their paths that it follows."""
    hashes = hashed(outline.paths, folder, "shuffle", shuffle_key(seed))
    with ColumnWriter(folder / "order", "i8") as order:
        for indices in in_order(hashes):
            order.append(indices)
    return open_column(folder / "order", "i8"), hashes


def document_splits(
    outline: Outline,
    config: SplitConfig,
    salt: str,
    folder: Path,
    history: SplitHistory | None,
    paths: Hashes,
) -> Array:
    """The code of each document's split: uint8. `paths`: hashes of the paths, with any key."""
    splits = new_column(folder / "split", "u1", outline.documents)
    if config.patterns:
        _by_pattern(outline, FileSplits(config.patterns), splits)
        return splits
    before = None
    if history is not None:
        before = _before(outline, history, folder)
        _settle_equal_paths(before, paths)
    _by_path(outline, config, salt, splits)
    if before is not None:
        for start, stop in outline.chunks():
            known = before[start:stop] != UNKNOWN
            splits[start:stop][known] = before[start:stop][known]
    _keep_duplicates_together(outline, hashed(outline.contents, folder, "content"), before, splits)
    return splits


def _by_path(outline: Outline, config: SplitConfig, salt: str, splits: Array) -> None:
    key = split_key(salt)
    for start, stop in outline.chunks():
        paths = outline.paths[start:stop].cast(pa.large_binary()).to_pylist()
        digests = b"".join(blake2b(path, digest_size=8, key=key).digest() for path in paths)
        splits[start:stop] = splits_at(np.frombuffer(digests, "<u8"), config)


def _by_pattern(outline: Outline, given: FileSplits, splits: Array) -> None:
    for start, stop in outline.chunks():
        paths = outline.paths[start:stop].to_pylist()
        splits[start:stop] = [SPLITS.index(given.split_of(path)) for path in paths]


def count_shared(outline: Outline, splits: Array, folder: Path) -> int:
    """The held-out documents with the same text as a document of an earlier split: one of train, or of val for test."""
    contents, shared = hashed(outline.contents, folder, "content"), 0
    for indices in in_order(contents):
        for same in _groups(indices, runs(contents, indices)):
            found = splits[same]
            shared += int(np.count_nonzero(found > found.min()))
    return shared


def _before(outline: Outline, history: SplitHistory, folder: Path) -> Array:
    """The code of the split that each document had before, or UNKNOWN."""
    before = new_column(folder / "before", "u1", outline.documents)
    codes = {split: code for code, split in enumerate(SPLITS)}
    for start, stop in outline.chunks():
        names = zip(
            outline.paths[start:stop].to_pylist(), outline.contents[start:stop].to_pylist(), strict=True
        )
        found = (history.split(path, content) for path, content in names)
        before[start:stop] = [UNKNOWN if split is None else codes[split] for split in found]
    return before


def _settle_equal_paths(before: Array, paths: Hashes) -> None:
    """Documents of equal path share what is known of it: what is known of the last of them."""
    for indices in in_order(paths):
        for same in _groups(indices, runs(paths, indices)):
            known = same[before[same] != UNKNOWN]
            if len(known):
                before[same] = before[known.max()]


def _groups(indices: Array, run: Array) -> Iterator[Array]:
    """The indices of each run that has more than one."""
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    ends = np.append(starts[1:], len(run))
    for at in np.flatnonzero(ends - starts > 1).tolist():
        yield indices[starts[at] : ends[at]]


def _keep_duplicates_together(
    outline: Outline, contents: Hashes, before: Array | None, splits: Array
) -> None:
    """Give documents of equal content the split of one of them: the first by path that was assigned before, else the
    first by path."""
    for indices in in_order(contents):
        run = runs(contents, indices)
        shared = np.flatnonzero(np.bincount(run)[run] > 1) if len(run) else run
        indices, run = indices[shared], run[shared]
        leaders = np.fromiter(_leaders(outline, indices, run, before), np.int64)
        if len(indices):
            group = np.cumsum(np.diff(run, prepend=run[0]) != 0)
            splits[indices] = splits[leaders][group]


def _leaders(outline: Outline, indices: Array, run: Array, before: Array | None) -> Iterator[int]:
    """The leading document of each run, in the order of the runs; long runs are compared piece by piece."""
    last: tuple[int, bool, str, int] | None = None
    for start in range(0, len(indices), CHUNK):
        piece, numbers = indices[start : start + CHUNK], run[start : start + CHUNK]
        fresh = np.zeros(len(piece), bool) if before is None else before[piece] == UNKNOWN
        paths = taken(outline.paths, piece)
        table = pa.table({"run": numbers, "fresh": fresh.astype(np.uint8), "path": paths})
        keys = [(name, "ascending") for name in table.column_names]
        order = pc.sort_indices(table, sort_keys=keys).to_numpy()
        firsts = order[np.flatnonzero(np.diff(numbers[order], prepend=-1))]
        for at in firsts.tolist():
            first = (int(numbers[at]), bool(fresh[at]), str(paths[at].as_py()), int(piece[at]))
            if last is not None and last[0] == first[0]:
                last = min(last, first)
                continue
            if last is not None:
                yield last[3]
            last = first
    if last is not None:
        yield last[3]
