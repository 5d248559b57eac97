"""How a corpus was divided before: old text keeps its split, whatever comes, changes or goes.

A document is known by its content first, so that one that was renamed stays where it was, and by its path else.
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
"""A split, and the characters of the joined text that are in it, from one up to another."""


def divided(start: int, stop: int, config: SplitConfig) -> list[Segment]:
    """A stretch of text cut by the shares: training, then validation, then test."""
    train, val = cut_points(stop - start, config)
    bounds = [start, start + train, start + val, stop]
    pieces = zip(("train", "val", "test"), bounds[:-1], bounds[1:], strict=True)
    return [piece for piece in pieces if piece[1] < piece[2]]


def read_history(folder: Path, by: By) -> SplitHistory | None:
    """The division in the tokens at `folder`; None where they were not divided by `by` or cannot be read."""
    try:
        if json.loads((folder / "tokens.json").read_text("utf-8"))["split_by"] != by:
            return None
        columns = ["path", "sha256", "split", "start", "characters"]
        rows = pq.read_table(folder / "splits.parquet", columns=columns).to_pylist()
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None
    return SplitHistory(rows)


class SplitHistory:
    """The pieces of every document, from the rows of a splits.parquet."""

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
        """The split that each of these documents had, by its path; those that are new are missing."""
        found = {}
        for path, content in zip(paths, contents, strict=True):
            pieces = self._contents.get(content) or self._paths.get(path)
            if pieces:
                found[path] = pieces[0][0]
        return found

    def segments(
        self, path: str, content: str, at: int, characters: int, config: SplitConfig
    ) -> list[Segment]:
        """A document of a joined text, at character `at` of it: cut where it was, and what it has more on its own.

        One that became shorter is another text, and is divided anew.
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
