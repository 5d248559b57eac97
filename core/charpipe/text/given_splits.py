"""Splits that are given by sizes: where they end in the concatenated text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from charpipe.config.settings.split_values import Size, Unit
from charpipe.config.settings.text import SplitConfig
from charpipe.corpus.documents import read_batches, texts
from charpipe.corpus.file_splits import FileSplits
from charpipe.errors import UsageError
from charpipe.text.splits import SPLITS

_CONTINUES = np.arange(256, dtype=np.uint8) >> 6 == 2
"""Whether a byte of UTF-8 continues a character."""


@dataclass(frozen=True)
class Ends:
    """Where the splits end in the concatenated text, in its characters and in `unit`. `rest`: what comes after them, in
    `unit`, which belongs to no split. A split never ends inside of a character: it ends after it."""

    unit: Unit
    characters: tuple[int, ...]
    ends: tuple[int, ...]
    rest: int

    def segments(self) -> list[tuple[str, int, int]]:
        """(split, start, stop) of each split that is not empty, in characters."""
        starts = (0, *self.characters[:-1])
        pieces = zip(SPLITS, starts, self.characters, strict=True)
        return [piece for piece in pieces if piece[1] < piece[2]]

    def to_json(self) -> dict[str, Any]:
        """What tokens.json has of them."""
        return {"unit": self.unit, "ends": list(self.ends), "rest": self.rest}


def find_ends(documents: Path, sizes: tuple[Size, Size, Size]) -> Ends:
    """Where splits of these sizes end.

    Raises UsageError if the text is shorter, or if sizes are in bytes and a document is not UTF-8 as received.
    """
    unit = sizes[0].unit
    wanted = list(accumulate(size.count for size in sizes))
    measured = _by_bytes(documents, wanted) if unit == "bytes" else _by_characters(documents, wanted)
    *found, (total, _) = measured
    if total < wanted[-1]:
        raise UsageError(
            f"the splits are {wanted[-1]:,} {unit} long, and the text has {total:,}; nothing was encoded; give sizes "
            "that fit: --train, --val and --test of `charpipe corpora add`, or split in the corpus's settings"
        )
    ends = tuple(end for end, _ in found)
    return Ends(unit, tuple(characters for _, characters in found), ends, total - ends[-1])


def _by_characters(documents: Path, wanted: list[int]) -> list[tuple[int, int]]:
    total = sum(
        int(batch.column("characters").to_numpy().sum()) for batch in read_batches(documents, ["characters"])
    )
    return [*((end, end) for end in wanted), (total, total)]


def _by_bytes(documents: Path, wanted: list[int]) -> list[tuple[int, int]]:
    """(bytes, characters) of each end, and of the text."""
    found: list[tuple[int, int]] = []
    at = characters = 0
    for data, count in _rows(documents):
        while len(found) < len(wanted) and wanted[len(found)] <= at + len(data):
            cut = _after_character(data, wanted[len(found)] - at)
            before = int(np.count_nonzero(~_CONTINUES[np.frombuffer(data[:cut], np.uint8)]))
            found.append((at + cut, characters + before))
        at, characters = at + len(data), characters + count
    missing = len(wanted) - len(found)
    return [*found, *[(at, characters)] * missing, (at, characters)]


def _after_character(data: memoryview, cut: int) -> int:
    """The first place from `cut` on that is not inside of a character."""
    while cut < len(data) and _CONTINUES[data[cut]]:
        cut += 1
    return cut


def _rows(documents: Path) -> Iterator[tuple[memoryview, int]]:
    """The text of each row as UTF-8, and its characters."""
    document: tuple[str, int] | None = None
    length = 0
    for batch in read_batches(documents, ["path", "part", "bytes", "encoding", "characters", "text"]):
        names = ("path", "part", "bytes", "encoding", "characters")
        rows = zip(*(batch.column(name).to_pylist() for name in names), texts(batch), strict=True)
        for path, part, size, encoding, count, data in rows:
            if part == 0:
                _check_exact(document, length)
                document, length = (path, size), 0
            if encoding != "utf-8":
                raise UsageError(_inexact(path, f"is read as {encoding}"))
            length += len(data)
            yield data, count
    _check_exact(document, length)


def _check_exact(document: tuple[str, int] | None, length: int) -> None:
    if document is not None and document[1] != length:
        raise UsageError(_inexact(document[0], "is not kept byte for byte"))


def _inexact(path: str, why: str) -> str:
    return (
        f"sizes in bytes count the bytes of the source, and {path} {why}; nothing was encoded; give the sizes in "
        "characters, such as '90000000 characters'"
    )


def measure_splits(documents: Path, split: SplitConfig, characters: int) -> dict[str, int]:
    """The characters of each split of a text of `characters` characters: exact if the splits are given, else about.

    Raises UsageError as `find_ends` and `FileSplits` do.
    """
    if split.sizes is not None:
        ends = find_ends(documents, split.sizes)
        return dict(zip(SPLITS, np.diff(ends.characters, prepend=0).tolist(), strict=True))
    if not split.patterns:
        return dict(zip(SPLITS, (int(characters * share) for share in split.fractions), strict=True))
    splits, found = FileSplits(split.patterns), dict.fromkeys(SPLITS, 0)
    for batch in read_batches(documents, ["path", "characters"]):
        rows = zip(batch.column("path").to_pylist(), batch.column("characters").to_pylist(), strict=True)
        for path, count in rows:
            found[splits.split_of(path)] += count
    return found
