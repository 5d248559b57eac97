"""Notices about a corpus's files: which were rejected, and which were not plain UTF-8."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from charpipe.store.paths import printable

if TYPE_CHECKING:
    from charpipe.stages.context import Context
    from charpipe.stages.objects import StageOutput

SHOWN = 10
"""Rejected files that are named; `charpipe corpora show` names them all."""
_NAMES = 3


def report_texts(context: Context, made: StageOutput) -> None:
    """Notices of what was rejected and of what was tolerated; they name the files if these have just been read."""
    rejected, documents = made.facts.get("rejected", 0), made.facts["documents"]
    if made.facts.get("notes") and not made.reused:
        from charpipe.corpus.file_lists import read_notes

        for line in grouped(read_notes(context.path(made))):
            context.notice(line)
    if rejected and not made.reused:
        from charpipe.corpus.file_lists import read_rejected

        for path, reason in islice(read_rejected(context.path(made)), SHOWN):
            context.notice(f"rejected {path}: {reason}")
        if rejected > SHOWN:
            context.notice(
                f"and {rejected - SHOWN:,} more rejected files; `charpipe corpora show` lists them all"
            )
    if rejected >= documents:
        context.notice(
            f"much of the corpus was rejected: {rejected:,} of {rejected + documents:,} files; "
            "the model learns from the others alone",
            "warning",
        )


def grouped(notes: Iterable[tuple[str, str]]) -> list[str]:
    """One sentence per kind of note, with the files it is about."""
    files: dict[str, _Listed] = defaultdict(_Listed)
    for path, note in notes:
        files[note].add(path)
    return [f"{paths}: {note}" for note, paths in sorted(files.items())]


def listed(paths: Iterable[str]) -> str:
    """The first paths, and the number of the rest."""
    found = _Listed()
    for path in paths:
        found.add(path)
    return str(found)


class _Listed:
    """The first paths, and the number of all."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._count = 0

    def add(self, path: str) -> None:
        self._count += 1
        self._first = sorted([*self._first, printable(path)])[:_NAMES]

    def __str__(self) -> str:
        more = f" and {self._count - _NAMES:,} more" if self._count > _NAMES else ""
        return ", ".join(self._first) + more
