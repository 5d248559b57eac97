"""What a corpus holds, from the documents that were read: for someone who adds a text and has not looked at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from charpipe.config.settings.text import SplitConfig
from charpipe.stages.ingest_notices import grouped

LINES, REJECTED = 3, 5
"""First lines, and rejected files, that are listed."""
LINE_CHARACTERS = 200


@dataclass(frozen=True)
class Contents:
    """Counts of a corpus; `encodings` has the number of documents of each. `kinds` is the number of different
    characters, None for a tokenizer that counts none; `tokens` the size of the vocabulary. `first_lines` are those of
    the first document, each cut at 200 characters; `rejected` the first of the `rejections` files that were rejected,
    with their reasons; `notes` what was tolerated, a sentence for each kind. `splits` has the characters of train, val
    and test: exact if the splits are given by files or by sizes (`given`), else about what their fractions make."""

    bytes: int
    documents: int
    characters: int
    kinds: int | None
    tokens: int
    encodings: Mapping[str, int]
    first_lines: tuple[str, ...]
    rejections: int
    rejected: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    splits: Mapping[str, int]
    given: bool


def read_contents(
    folder: Path, facts: Mapping[str, Any], vocabulary: Mapping[str, Any], split: SplitConfig
) -> Contents:
    """The contents of a folder of documents; `facts` are its own, and those of the vocabulary.

    Raises UsageError if splits that are given do not fit the text.
    """
    from charpipe.corpus.file_lists import read_notes, read_rejected
    from charpipe.text.given_splits import measure_splits

    return Contents(
        bytes=facts["bytes"],
        documents=facts["documents"],
        characters=facts["characters"],
        kinds=vocabulary.get("characters"),
        tokens=vocabulary["size"],
        encodings=facts["encodings"],
        first_lines=_first_lines(folder),
        rejections=facts["rejected"],
        rejected=tuple(islice(read_rejected(folder), REJECTED)),
        notes=tuple(grouped(read_notes(folder))),
        splits=measure_splits(folder, split, facts["characters"]),
        given=split.is_given,
    )


def _first_lines(folder: Path) -> tuple[str, ...]:
    """The first lines that are not blank."""
    from charpipe.corpus.documents import read_documents

    for part in read_documents(folder):
        text = part.text[: 16 * LINES * LINE_CHARACTERS].decode("utf-8", "ignore")
        lines = [line[:LINE_CHARACTERS].rstrip() for line in text.splitlines() if line.strip()]
        if lines:
            return tuple(lines[:LINES])
    return ()
