"""Split history: old text keeps its split when documents are added, changed or removed.

A document is matched by its content first, so that a renamed one keeps its split, and otherwise by its path.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from charpipe.config.settings.text import SplitConfig
from charpipe.store.sqlite import temporary_database
from charpipe.text.splits import By, cut_points

Segment = tuple[str, int, int]
"""(split, start, stop): a split and a character range of the concatenated text."""
_ROWS = 1 << 14
_ARRIVED = """
    CREATE TABLE arrived (at INTEGER PRIMARY KEY, path TEXT, content TEXT, start INTEGER, stop INTEGER, split TEXT)
"""
_TABLES = """
    CREATE TABLE contents (name TEXT, start INTEGER, stop INTEGER, split TEXT, at INTEGER,
                           PRIMARY KEY (name, start, stop)) WITHOUT ROWID;
    CREATE TABLE paths (name TEXT, start INTEGER, stop INTEGER, split TEXT, at INTEGER,
                        PRIMARY KEY (name, at)) WITHOUT ROWID;
    INSERT INTO contents SELECT content, start, stop, split, min(at) FROM arrived
                         GROUP BY content, start, stop ORDER BY content, start, stop;
    INSERT INTO paths SELECT path, start, stop, split, at FROM arrived ORDER BY path, at;
    DROP TABLE arrived;
"""
"""Filled in the order of their keys: inserting random keys takes several times as long."""


def divided(start: int, stop: int, config: SplitConfig) -> list[Segment]:
    """The range [start, stop) cut by the configured fractions: train, then val, then test."""
    train, val = cut_points(stop - start, config)
    bounds = [start, start + train, start + val, stop]
    pieces = zip(("train", "val", "test"), bounds[:-1], bounds[1:], strict=True)
    return [piece for piece in pieces if piece[1] < piece[2]]


def read_history(folder: Path, by: By, work: Path) -> SplitHistory | None:
    """Read the splits of the tokens at `folder` into a temporary database in `work`; None if they cannot be read or
    were not split by `by`."""
    try:
        if json.loads((folder / "tokens.json").read_text("utf-8"))["split_by"] != by:
            return None
        return SplitHistory(_rows(folder / "splits.parquet"), work)
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None


def _rows(path: Path) -> Iterator[tuple[str, str, str, int, int]]:
    columns = ["path", "sha256", "split", "start", "characters"]
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


class SplitHistory:
    """The segments of every document, from the rows (path, sha256, split, start, characters) of a splits.parquet."""

    def __init__(self, rows: Iterator[tuple[str, str, str, int, int]], work: Path) -> None:
        self._database = temporary_database(work)
        self._database.execute(_ARRIVED)
        numbered = (
            (at, path, content, start, start + count, split)
            for at, (path, content, split, start, count) in enumerate(rows)
        )
        self._database.executemany("INSERT INTO arrived VALUES (?, ?, ?, ?, ?, ?)", numbered)
        self._database.executescript(_TABLES)

    def split(self, path: str, content: str) -> str | None:
        """The previous split of this document, or None if it is new."""
        pieces = self._pieces(path, content)
        return min(pieces, key=lambda piece: int(piece[3]))[2] if pieces else None

    def segments(
        self, path: str, content: str, at: int, characters: int, config: SplitConfig
    ) -> list[Segment]:
        """The segments of a document at character `at` of the concatenated text.

        Old text is cut as before, and text appended to it separately. A document that became shorter counts as new.
        """
        pieces = self._pieces(path, content)
        covered = 0
        for start, stop, _, _ in pieces:
            if start != covered:
                return divided(at, at + characters, config)
            covered = stop
        if covered > characters:
            return divided(at, at + characters, config)
        kept = [(split, at + start, at + stop) for start, stop, split, _ in pieces]
        return kept + divided(at + covered, at + characters, config)

    def _pieces(self, path: str, content: str) -> list[tuple[int, int, str, int]]:
        """(start, stop, split, number of the row) of the document's pieces, sorted by `start`."""
        return self._found("contents", content) or self._found("paths", path)

    def _found(self, table: str, name: str) -> list[Any]:
        query = f"SELECT start, stop, split, at FROM {table} WHERE name = ? ORDER BY start, at"  # noqa: S608
        return self._database.execute(query, (name,)).fetchall()

    def close(self) -> None:
        """Close the database, which removes it."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()
