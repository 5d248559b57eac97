"""The tally of an ingestion: what was read, what was rejected, and what was tolerated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

LISTED = 10
"""Maximum number of rejected files that an error names."""


class Rejected(Protocol):
    """Takes the rejected files."""

    def add(self, path: str, reason: str, size: int) -> None: ...


class Notes(Protocol):
    """Takes the notes on documents."""

    def add(self, path: str, note: str) -> None: ...


class Tally:
    """Counts documents, bytes and characters, and passes rejected files and notes on.

    `listed` are the first rejected files, with their reasons.
    """

    def __init__(self, rejected: Rejected, notes: Notes) -> None:
        self._rejected, self._notes = rejected, notes
        self._rejections = 0
        self._encodings: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._noted: Counter[str] = Counter()
        self.listed: list[str] = []
        self.counts = {"documents": 0, "bytes": 0, "characters": 0}

    def document(self, path: str, size: int, encoding: str, note: str, documents: int = 1) -> None:
        """Count a document of `size` bytes, or the `documents` of a file of that size."""
        self.counts["documents"] += documents
        self.counts["bytes"] += size
        self._encodings[encoding] += documents
        if note:
            self.note(path, note)

    def note(self, path: str, note: str) -> None:
        """Count the note on a document."""
        self._notes.add(path, note)
        self._noted[note.partition(":")[0]] += 1

    def reject(self, path: str, reason: str, size: int) -> None:
        """Count a rejected file."""
        if len(self.listed) < LISTED:
            self.listed.append(f"{path}: {reason}")
        self._rejections += 1
        self._rejected.add(path, reason, size)
        self._reasons[reason.partition(":")[0]] += 1

    def add(self, facts: Mapping[str, Any]) -> None:
        """Add the `facts` of documents that another tally counted; their rejected files and notes are added apart."""
        for name in self.counts:
            self.counts[name] += facts[name]
        self._encodings.update(facts["encodings"])

    def facts(self, shards: int) -> dict[str, Any]:
        """The counts as JSON."""
        return {
            **self.counts,
            "rejected": self._rejections,
            "reasons": dict(sorted(self._reasons.items())),
            "shards": shards,
            "encodings": dict(sorted(self._encodings.items())),
            **({"notes": dict(sorted(self._noted.items()))} if self._noted else {}),
        }
