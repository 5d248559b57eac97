"""The held-out text on which champion and challenger are compared: the same passages for both, of limited size.

The text is the current text of the corpus (the challenger's tokens). A passage is a document, or a segment of at most
2,048 characters of a longer one, read from the initial state after a run-up of up to 256 characters of the same
document. If fewer than 30 documents are held out, they are cut into blocks, and a block is the unit. A keyed hash of
the paths alone selects the documents and segments, so the selection is the same every night.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from charpipe.champions.overlap import DocumentSpan, Overlap, document_spans, text_of
from charpipe.plugin import Encoding
from charpipe.text import open_tokens

MAX_LENGTH, MIN_LENGTH = 2048, 64
"""Maximum characters of a passage, and minimum characters of a block of a small text."""
RUN_UP = 256
ENOUGH = 30
"""The minimum number of documents for a document to be the unit."""
BLOCKS = 64
"""The number of blocks into which a small held-out text is cut, unless they would be shorter than `MIN_LENGTH`."""
WHOLE = 1_000_000
"""Maximum tokens decoded per document if tokens are not characters."""
KEY = b"charpipe.passages/1"


@dataclass(frozen=True)
class Passage:
    """A text to score, and the text before it that is read without scoring (at least one character)."""

    path: str
    run_up: str
    text: str


@dataclass(frozen=True)
class HeldOut:
    """`validation` decides; `test` and `unseen` are reported. `unseen_are` describes the unseen texts; `seen` counts
    the held-out pieces left out because the champion was trained on their text; `shared` tells whether champion and
    challenger have any document in common."""

    unit: str
    validation: tuple[Passage, ...]
    test: tuple[Passage, ...] = ()
    unseen: tuple[Passage, ...] = ()
    unseen_are: str = ""
    seen: int = 0
    shared: bool = True


def held_out(tokens: Path, encoding: Encoding, characters: int, seen: Overlap | None = None) -> HeldOut:
    """Select passages from the token files in `tokens`, encoded by `encoding`, up to about `characters` characters
    per split.

    `seen` describes the champion's text. Unseen texts are documents of the test split that are new since the
    champion, or the whole test split if there are none: no model was trained on it or selected by it.
    """
    found, texts = list(document_spans(tokens)), _Texts(tokens, encoding)
    validation = [place for place in found if place.split == "val"]
    test = [place for place in found if place.split == "test"]
    if seen is None:
        unit, passages = texts.choose(validation, characters)
        return HeldOut(unit, passages)
    fair = [place for place in validation if not seen.trained_on(place)]
    unit, passages = texts.choose(fair, characters)
    fair_test = [place for place in test if not seen.trained_on(place)]
    new = [place for place in fair_test if not seen.knows(place)]
    _, tested = texts.choose(fair_test, characters)
    _, unseen = texts.choose(new, characters // 4)
    if not unseen:
        unseen = tested
    left_out = len(validation) - len(fair)
    are = "new documents of the test split" if new and unseen is not tested else "the test split"
    return HeldOut(unit, passages, tested, unseen, are, left_out, seen.shares(found))


class _Texts:
    """The text of places in the held-out splits."""

    def __init__(self, tokens: Path, encoding: Encoding) -> None:
        self._folder, self._encoding = tokens, encoding
        self._held = {split: open_tokens(tokens, split).tokens for split in ("val", "test")}
        self._decoded: dict[tuple[str, int], str] = {}

    def choose(self, found: list[DocumentSpan], characters: int) -> tuple[str, tuple[Passage, ...]]:
        """The unit, and passages from these places in the order of their hashes, until there are enough characters."""
        whole = [place for place in found if place.characters > 1]
        unit = "documents" if len(whole) >= ENOUGH else "blocks"
        pieces: Iterable[DocumentSpan] = whole
        if unit == "blocks":
            size = max(MIN_LENGTH, min(MAX_LENGTH, sum(place.characters for place in whole) // BLOCKS))
            pieces = [block for place in whole for block in _blocks(place, size)]
        chosen, total = [], 0
        for piece in sorted(pieces, key=lambda piece: _hash(f"{piece.path}\n{piece.start + piece.at}")):
            passage = self._passage(piece)
            if passage is not None:
                chosen.append(passage)
                total += len(passage.text)
            if total >= characters:
                break
        return unit, tuple(chosen)

    def _passage(self, piece: DocumentSpan) -> Passage | None:
        at, length = piece.at, piece.length or piece.characters
        if not piece.length and length > MAX_LENGTH:
            at, length = 1 + _hash(piece.path) % (length - MAX_LENGTH), MAX_LENGTH
        end = min(at + length, piece.characters)
        at = max(at, 1)
        start = max(0, at - RUN_UP)
        text = self._slice(piece, start, end)
        before, scored = text[: at - start], text[at - start :]
        return Passage(piece.path, before, scored) if before and scored else None

    def _slice(self, place: DocumentSpan, start: int, end: int) -> str:
        """Characters `start` to `end` of a place."""
        held = self._held[place.split]
        if place.tokens == place.characters:
            ids = held[place.offset + start : place.offset + end]
            return self._encoding.decoder().decode(ids.tolist(), final=True)
        key = (place.split, place.offset)
        if key not in self._decoded:
            if not place.length:  # a document is read once, a block's document many times
                self._decoded.clear()
            self._decoded[key] = "".join(text_of(held, self._encoding, place, WHOLE))
        return self._decoded[key][start:end]


def _blocks(place: DocumentSpan, size: int) -> Iterator[DocumentSpan]:
    """The place cut into blocks; a remainder at its end is too short for a block and is dropped."""
    for at in range(0, max(place.characters - size, 0) + 1, size):
        yield replace(place, at=at, length=min(size, place.characters - at))


def _hash(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8, key=KEY).digest()
    return int.from_bytes(digest, "little")
