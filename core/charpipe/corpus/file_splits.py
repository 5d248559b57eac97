"""Splits that are given by files: which split a document belongs to, by its path."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from charpipe.corpus.documents import read_batches
from charpipe.corpus.file_lists import read_rejected
from charpipe.corpus.selection import Selection
from charpipe.errors import UsageError

NAMED = 3
"""Rejected files that a message names."""


class FileSplits:
    """Assigns paths to splits by the patterns of the splits (see `Selection` for what a pattern matches)."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = dict(patterns)
        self._selections = {split: Selection([pattern]) for split, pattern in patterns.items()}

    def split_of(self, path: str) -> str:
        """The split of a document. Raises UsageError if it has none, or more than one."""
        found = [split for split, selection in self._selections.items() if selection.selects(path)]
        if len(found) == 1:
            return found[0]
        if not found:
            listed = ", ".join(self._shown(split) for split in self._patterns)
            raise UsageError(
                f"{path} belongs to no split ({listed}); nothing was kept; leave it out by exclude"
            )
        shown = " and ".join(self._shown(split) for split in found)
        raise UsageError(
            f"the splits overlap: {path} matches {shown}; nothing was kept; give patterns that match different files"
        )

    def check(self, documents: Path) -> None:
        """Raise UsageError if a document belongs to several splits, or none belongs to a split."""
        waiting, last = set(self._patterns), None
        for batch in read_batches(documents, ["path"]):
            for path in batch.column("path").to_pylist():
                if path != last:
                    waiting.discard(self.split_of(path))
                last = path
        for split in self._patterns:
            if split in waiting:
                raise UsageError(self._unmatched(split, documents))

    def _unmatched(self, split: str, documents: Path) -> str:
        selection = self._selections[split]
        rejected = list(islice((one for one in read_rejected(documents) if selection.selects(one[0])), NAMED))
        if not rejected:
            return f"{self._shown(split)} matches no file; nothing was kept; give a pattern of files that are there"
        listed = "; ".join(f"{path}: {reason}" for path, reason in rejected)
        return f"{self._shown(split)} matches only files that were rejected ({listed}); nothing was kept"

    def _shown(self, split: str) -> str:
        return f"split.{split} = {self._patterns[split]!r}"
