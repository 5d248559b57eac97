"""Find overlap with a model's training data from its recorded splits: training text must not be used to evaluate it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from charpipe.errors import StoreError
from charpipe.plugin import Encoding
from charpipe.text import open_tokens

COLUMNS = ["path", "sha256", "split", "start", "characters", "offset", "tokens"]
CHUNK = 1 << 20


@dataclass(frozen=True)
class DocumentSpan:
    """A document's piece in a split, as listed in splits.parquet; `at` and `length` describe a block of it, in
    characters."""

    path: str
    sha256: str
    split: str
    start: int
    characters: int
    offset: int
    tokens: int
    at: int = 0
    length: int = 0

    @property
    def stop(self) -> int:
        """Its end, in characters of the document."""
        return self.start + self.characters


def document_spans(folder: Path) -> Iterator[DocumentSpan]:
    """The places listed in `folder`'s splits.parquet. Raises StoreError if the file is missing or invalid."""
    path = folder / "splits.parquet"
    try:
        table = pq.read_table(path, columns=COLUMNS, use_threads=False)
    except (OSError, ValueError) as error:  # pyarrow's exceptions are subclasses of these
        raise StoreError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    for row in table.to_pylist():
        yield DocumentSpan(**row)


def text_of(
    held: np.ndarray[Any, Any], encoding: Encoding, place: DocumentSpan, most: int | None = None
) -> Iterator[str]:
    """Yield the text of a place in chunks, from at most its first `most` tokens."""
    decoder = encoding.decoder()
    end = place.offset + min(place.tokens, most or place.tokens)
    for start in range(place.offset, end, CHUNK):
        stop = min(start + CHUNK, end)
        yield decoder.decode(held[start:stop].tolist(), final=stop == end)


class Overlap:
    """The text in a champion's splits: `splits` is the folder of its splits.parquet, `tokens` the folder of its
    tokens, which may be gone; `now` is the folder of the challenger's tokens. Both come with their encodings."""

    def __init__(
        self, splits: Path, tokens: Path, encoding: Encoding, now: Path, now_encoding: Encoding
    ) -> None:
        self._old, self._old_encoding = tokens, encoding
        self._now, self._now_encoding = now, now_encoding
        self._contents: dict[str, list[DocumentSpan]] = defaultdict(list)
        self._paths: dict[str, list[DocumentSpan]] = defaultdict(list)
        for place in document_spans(splits):
            self._contents[place.sha256].append(place)
            self._paths[place.path].append(place)
        self._grown: dict[str, bool] = {}

    def trained_on(self, place: DocumentSpan) -> bool:
        """Whether any of this text was in the champion's training split, as far as is known: a document that changed
        counts as trained on, unless it only grew."""
        return any(old.split == "train" and self._overlaps(old, place) for old in self._versions(place))

    def knows(self, place: DocumentSpan) -> bool:
        """Whether any of this text was in any of the champion's splits. A document that was assigned to a split as a
        whole and has changed counts as another text."""
        return any(self._overlaps(old, place) for old in self._versions(place))

    def shares(self, found: Iterable[DocumentSpan]) -> bool:
        """Whether any of these documents is in the champion's splits, by path or by content."""
        return any(place.path in self._paths or place.sha256 in self._contents for place in found)

    def _versions(self, place: DocumentSpan) -> list[DocumentSpan]:
        """The pieces that may hold the same text: those of equal content, or else those of the same path."""
        return self._contents.get(place.sha256) or self._paths.get(place.path, [])

    def _overlaps(self, old: DocumentSpan, place: DocumentSpan) -> bool:
        same = old.sha256 == place.sha256
        if not same and old.split != "train" and place.start == 0 == old.start:
            return False  # a whole document that changed, held out both then and now
        if same or self._only_grew(place.path):
            return old.start < place.stop and place.start < old.stop
        return True

    def _only_grew(self, path: str) -> bool:
        """Whether the part of this document that the champion was trained on is unchanged and at the same position."""
        if path not in self._grown:
            try:
                self._grown[path] = self._compare(path)
            except StoreError:
                self._grown[path] = False
        return self._grown[path]

    def _compare(self, path: str) -> bool:
        now = [place for place in document_spans(self._now) if place.path == path]
        return all(
            any(self._within(old, place) for place in now)
            for old in self._paths[path]
            if old.split == "train"
        )

    def _within(self, old: DocumentSpan, place: DocumentSpan) -> bool:
        if not (place.start <= old.start and old.stop <= place.stop):
            return False
        theirs = text_of(open_tokens(self._old, old.split).tokens, self._old_encoding, old)
        ours = text_of(open_tokens(self._now, place.split).tokens, self._now_encoding, place)
        return _begins(ours, theirs, old.start - place.start)


def _begins(text: Iterator[str], beginning: Iterator[str], skip: int) -> bool:
    """Whether `text`, without its first `skip` characters, starts with `beginning`."""
    here = ""
    for wanted in beginning:
        while len(here) < skip + len(wanted):
            more = next(text, None)
            if more is None:
                return False
            here += more
        if here[skip : skip + len(wanted)] != wanted:
            return False
        here, skip = here[skip + len(wanted) :], 0
    return True
