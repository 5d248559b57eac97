"""Notices about a corpus's files: which were rejected, and which were not plain UTF-8."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from charpipe.store.paths import printable

if TYPE_CHECKING:
    from charpipe.stages.objects import Made
    from charpipe.stages.stage import Context

SHOWN = 10
"""Rejected files that are named; `charpipe corpora show` names them all."""
_NAMES = 3


def report_texts(context: Context, made: Made) -> None:
    """Notices of what was rejected and of what was tolerated; they name the files if these have just been read."""
    rejected, documents = made.facts.get("rejected", 0), made.facts["documents"]
    if made.facts.get("notes") and not made.reused:
        from charpipe.corpus.file_lists import read_notes

        for line in grouped(read_notes(context.path(made))):
            context.notice(line)
    if rejected and not made.reused:
        from charpipe.corpus.file_lists import read_rejected

        for path, reason in read_rejected(context.path(made), SHOWN):
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
    files: dict[str, list[str]] = defaultdict(list)
    for path, note in notes:
        files[note].append(path)
    return [f"{listed(paths)}: {note}" for note, paths in sorted(files.items())]


def listed(paths: Iterable[str]) -> str:
    """The first paths, and the number of the rest."""
    every: Sequence[str] = sorted(printable(path) for path in paths)
    more = f" and {len(every) - _NAMES:,} more" if len(every) > _NAMES else ""
    return ", ".join(every[:_NAMES]) + more
