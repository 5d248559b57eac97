"""Encode documents to token files: assign splits, compute each document's offset, and write its tokens there.

This takes one pass over the text if the tokenizer can predict the number of tokens, and two otherwise. Documents are
written directly to their shuffled offsets, so memory use is constant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from charpipe.config.settings.text import SplitConfig
from charpipe.corpus.documents import kept_newlines, read_batches, texts
from charpipe.corpus.members import Progress
from charpipe.errors import CorpusError
from charpipe.plugin import Encoding
from charpipe.text.split_history import Segment, SplitHistory, divided, read_history
from charpipe.text.splits import SPLITS, assign_splits, shuffled, split_by
from charpipe.text.tokens import TokenWriter, write_facts

_PLACES = pa.schema(
    [
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("split", pa.string()),
        ("start", pa.int64()),
        ("characters", pa.int64()),
        ("offset", pa.int64()),
        ("tokens", pa.int64()),
    ]
)
_ROWS = 1 << 16


@dataclass
class _Place:
    """The part of a document in one split: it begins at character `start`, and at token `offset` of the split."""

    path: str
    sha256: str
    split: str
    start: int
    offset: int
    characters: int = 0
    tokens: int = 0


@dataclass
class _Totals:
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    characters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))


def encode(
    documents: Path,
    encoding: Encoding,
    split: SplitConfig,
    folder: Path,
    *,
    salt: str,
    seed: int = 0,
    earlier: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Write train.npy, val.npy, test.npy, splits.parquet and tokens.json into `folder`; returns the counts.

    `salt`: key of the hash that assigns documents to splits, unless `split.salt` is set. `seed`: seed of the shuffle.
    Text in the tokens at `earlier` keeps its split. Raises UsageError for a character that cannot be encoded.
    """
    outline = _Outline(documents)
    by = split_by(split, len(outline.paths))
    history = read_history(earlier, by) if earlier is not None else None
    dtype = np.min_scalar_type(max(encoding.size - 1, 1))
    totals = _Totals()
    with ExitStack() as stack:
        writers = {name: stack.enter_context(TokenWriter(folder / f"{name}.npy", dtype)) for name in SPLITS}
        work = _Encoding(documents, encoding, outline, writers, totals, progress)
        if by == "contiguous":
            places = work.contiguous(_segments(outline, split, history))
        else:
            previous = history.splits(outline.paths, outline.contents) if history is not None else None
            assigned = assign_splits(outline.paths, outline.contents, split, split.salt or salt, previous)
            places = work.by_document(assigned, seed)
    _write_places(folder / "splits.parquet", places)
    facts = {
        "tokens": totals.tokens,
        "characters": totals.characters,
        "bytes": totals.bytes,
        "split_by": by,
        "dtype": dtype.name,
        "vocabulary_size": encoding.size,
    }
    write_facts(folder, facts)
    return facts


def _segments(outline: _Outline, split: SplitConfig, history: SplitHistory | None) -> list[Segment]:
    """The segments of the concatenated text: old text is cut as before, new text is cut separately."""
    if history is None:
        return divided(0, outline.total, split)
    segments, at = [], 0
    for path, content, characters in zip(outline.paths, outline.contents, outline.characters, strict=True):
        segments += history.segments(path, content, at, characters, split)
        at += characters
    return segments


class _Outline:
    """Every document's path, content and number of characters, without its text.

    `sizes`: the bytes of each text in UTF-8, or None if they are unknown without reading the texts.
    """

    def __init__(self, documents: Path) -> None:
        self.paths: list[str] = []
        self.contents: list[str] = []
        self.characters: list[int] = []
        sizes: list[int] = []
        exact = True
        names = ("path", "part", "sha256", "bytes", "encoding", "characters")
        for batch in read_batches(documents, names):
            columns = (batch.column(name).to_pylist() for name in names)
            for path, part, sha256, size, encoding, characters in zip(*columns, strict=True):
                exact = exact and encoding == "utf-8"
                if part == 0:
                    self.paths.append(path)
                    self.contents.append(sha256)
                    self.characters.append(0)
                    sizes.append(size)
                elif not self.paths or self.paths[-1] != path:
                    raise CorpusError(
                        f"{documents}: part {part} of {path!r} does not follow the part before it"
                    )
                self.characters[-1] += characters
        self.total = sum(self.characters)
        self.sizes = sizes if exact and kept_newlines(documents) else None


class _Encoding:
    """State of one call of `encode`."""

    def __init__(
        self,
        documents: Path,
        encoding: Encoding,
        outline: _Outline,
        writers: Mapping[str, TokenWriter],
        totals: _Totals,
        progress: Progress,
    ) -> None:
        self._documents = documents
        self._outline = outline
        self._writers = writers
        self._totals = totals
        self._progress = progress
        # optional methods of a tokenizer: encode UTF-8 directly, and predict the number of tokens
        fast = getattr(encoding, "encode_utf8", None)
        self._encode = fast or (lambda data: encoding.encode(data.decode()))
        self._predict: Callable[[int, int], int | None] = getattr(
            encoding, "count_tokens", lambda characters, size: None
        )

    def contiguous(self, segments: list[Segment]) -> list[_Place]:
        """Write the concatenated text, cut into `segments`, which are consecutive."""
        places: list[_Place] = []
        at = 0
        document, start = -1, 0
        for new_at, _part, characters, data in self._rows():
            if new_at != document:
                document, start = new_at, at
            for split, low, high in segments:
                first, last = max(low, at), min(high, at + characters)
                if first >= last:
                    continue
                whole = (first, last) == (at, at + characters)
                piece = data if whole else data.decode()[first - at : last - at].encode()
                self._append(places, document, split, first - start, last - first, piece)
            at += characters
        return places

    def _append(
        self, places: list[_Place], document: int, split: str, start: int, characters: int, data: bytes
    ) -> None:
        outline = self._outline
        path, content = outline.paths[document], outline.contents[document]
        if not places or (places[-1].path, places[-1].split) != (path, split):
            places.append(_Place(path, content, split, start, self._totals.tokens[split]))
        self._put(places[-1], self._totals.tokens[split], characters, data)

    def _put(self, place: _Place, offset: int, characters: int, data: bytes) -> int:
        tokens = self._encode(data)
        self._writers[place.split].write(offset, tokens)
        place.characters += characters
        place.tokens += len(tokens)
        self._totals.tokens[place.split] += len(tokens)
        self._totals.characters[place.split] += characters
        self._totals.bytes[place.split] += len(data)
        return len(tokens)

    def by_document(self, assigned: list[str], seed: int) -> list[_Place]:
        """Write each document at its offset in the shuffled order of its split."""
        outline = self._outline
        lengths = self._lengths()
        ends = dict.fromkeys(SPLITS, 0)
        places: dict[int, _Place] = {}
        for document in shuffled(outline.paths, seed):
            split = assigned[document]
            places[document] = _Place(
                outline.paths[document], outline.contents[document], split, 0, ends[split]
            )
            ends[split] += lengths[document]
        for document, _part, characters, data in self._rows():
            place = places[document]
            self._put(place, place.offset + place.tokens, characters, data)
        wrong = next((at for at, place in places.items() if place.tokens != lengths[at]), None)
        if wrong is not None:
            raise CorpusError(
                f"{outline.paths[wrong]!r} made {places[wrong].tokens} tokens where the tokenizer announced "
                f"{lengths[wrong]}; its count_tokens and encode_utf8 contradict each other"
            )
        return list(places.values())

    def _lengths(self) -> list[int]:
        """Tokens of every document: predicted from its characters or bytes, or counted by encoding it."""
        outline = self._outline
        if self._predict(1, 1) is not None:
            # a character tokenizer's prediction does not depend on the size, which may then be unknown
            by_characters = self._predict(1, 1) == self._predict(1, 4)
            if by_characters or outline.sizes is not None:
                sizes = outline.sizes or outline.characters
                return [self._predict(*known) or 0 for known in zip(outline.characters, sizes, strict=True)]
        lengths = [0] * len(self._outline.paths)
        for document, _part, characters, data in self._rows(report_progress=False):
            known = self._predict(characters, len(data))
            lengths[document] += len(self._encode(data)) if known is None else known
        return lengths

    def _rows(self, report_progress: bool = True) -> Iterator[tuple[int, int, int, bytes]]:
        """(document, part, characters, UTF-8) of every row, in the order of the corpus."""
        document, done, characters_done = -1, 0, 0
        for batch in read_batches(self._documents, ["part", "characters", "text"]):
            parts, characters = batch.column("part").to_pylist(), batch.column("characters").to_pylist()
            for part, count, text in zip(parts, characters, texts(batch), strict=True):
                document += part == 0
                done += len(text)
                characters_done += count
                yield document, part, count, bytes(text)
            if report_progress:
                self._progress(characters_done, self._outline.total)


def _write_places(path: Path, places: list[_Place]) -> None:
    places.sort(key=lambda place: (SPLITS.index(place.split), place.offset))
    with pq.ParquetWriter(path, _PLACES, compression="zstd") as writer:
        for first in range(0, len(places), _ROWS):
            rows = places[first : first + _ROWS]
            columns = [[getattr(row, name) for row in rows] for name in _PLACES.names]
            writer.write_batch(pa.record_batch(columns, schema=_PLACES))
