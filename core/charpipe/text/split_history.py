"""Split history: old text keeps its split when documents are added, changed or removed.

A document is matched by its content first, so that a renamed one keeps its split, and otherwise by its path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from charpipe.config.settings.text import SplitConfig
from charpipe.text.splits import By, cut_points

Segment = tuple[str, int, int]
"""(split, start, stop): a split and a character range of the concatenated text."""


def divided(start: int, stop: int, config: SplitConfig) -> list[Segment]:
    """The range [start, stop) cut by the configured fractions: train, then val, then test."""
    train, val = cut_points(stop - start, config)
    bounds = [start, start + train, start + val, stop]
    pieces = zip(("train", "val", "test"), bounds[:-1], bounds[1:], strict=True)
    return [piece for piece in pieces if piece[1] < piece[2]]


def read_history(folder: Path, by: By) -> SplitHistory | None:
    """Read the splits of the tokens at `folder`; None if they cannot be read or were not split by `by`."""
    try:
        if json.loads((folder / "tokens.json").read_text("utf-8"))["split_by"] != by:
            return None
        columns = ["path", "sha256", "split", "start", "characters"]
        rows = pq.read_table(folder / "splits.parquet", columns=columns).to_pylist()
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None
    return SplitHistory(rows)


class SplitHistory:
    """The segments of every document, from the rows of a splits.parquet."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._contents: dict[str, list[Segment]] = {}
        self._paths: dict[str, list[Segment]] = {}
        for row in rows:
            piece = (row["split"], row["start"], row["start"] + row["characters"])
            self._paths.setdefault(row["path"], []).append(piece)
            known = self._contents.setdefault(row["sha256"], [])
            if all(other[1:] != piece[1:] for other in known):
                known.append(piece)

    def splits(self, paths: Sequence[str], contents: Sequence[str]) -> dict[str, str]:
        """The previous split of each of these documents, by path; new documents are omitted."""
        found = {}
        for path, content in zip(paths, contents, strict=True):
            pieces = self._contents.get(content) or self._paths.get(path)
            if pieces:
                found[path] = pieces[0][0]
        return found

    def segments(
        self, path: str, content: str, at: int, characters: int, config: SplitConfig
    ) -> list[Segment]:
        """The segments of a document at character `at` of the concatenated text.

        Old text is cut as before, and text appended to it separately. A document that became shorter counts as new.
        """
        pieces = sorted(self._contents.get(content) or self._paths.get(path, []), key=lambda piece: piece[1])
        covered = 0
        for _, start, stop in pieces:
            if start != covered:
                return divided(at, at + characters, config)
            covered = stop
        if covered > characters:
            return divided(at, at + characters, config)
        kept = [(split, at + start, at + stop) for split, start, stop in pieces]
        return kept + divided(at + covered, at + characters, config)
