"""Encode one piece of a corpus, and write its tokens where they belong in the files of the splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from charpipe.corpus.documents import text_bounds, texts
from charpipe.errors import CharpipeError, CorpusError
from charpipe.plugin import Encoding
from charpipe.text.columns import Array, open_column, open_strings
from charpipe.text.pieces import Piece
from charpipe.text.places import PLACE
from charpipe.text.splits import SPLITS

_JOINED = 1 << 20
"""Tokens of consecutive texts that are written together."""
_FEW = 4096
"""Segments that are kept in memory."""
Advance = Callable[[int], None]
"""Callback (characters encoded since the last call)."""


class Writer(Protocol):
    """Takes the tokens of a split."""

    def write(self, offset: int, tokens: Array) -> None:
        """Take tokens that begin at `offset`."""


class Encoder:
    """A tokenizer with its optional methods: encoding UTF-8 directly, and predicting the number of tokens."""

    def __init__(self, encoding: Encoding) -> None:
        fast = getattr(encoding, "encode_utf8", None)
        self.encode: Callable[[bytes], Array] = fast or (lambda data: encoding.encode(data.decode()))
        self.predict: Callable[[int, int], int | None] = getattr(
            encoding, "count_tokens", lambda characters, size: None
        )

    def count(self, characters: int, data: bytes) -> int:
        """The number of tokens of a text, predicted if possible."""
        known = self.predict(characters, len(data))
        return len(self.encode(data)) if known is None else known


@dataclass(frozen=True)
class Documents:
    """The columns in the work folder that tell which document a row belongs to."""

    work: Path
    first_row: Array
    rows: int

    @classmethod
    def open(cls, work: Path) -> Documents:
        """Open the columns."""
        rows = (work / "characters").stat().st_size // 8
        return cls(work, open_column(work / "first_row", "i8"), rows)

    def of_rows(self, start: int, stop: int) -> Array:
        """The documents of the rows [start, stop)."""
        rows = np.arange(start, stop)
        if len(self.first_row) == self.rows:
            return rows
        found: Array = np.searchsorted(self.first_row, rows, "right") - 1
        return found

    def path(self, document: int) -> str:
        """The path of a document."""
        return str(open_strings(self.work / "paths")[document].as_py())


def count_rows(encoder: Encoder, piece: Piece, counts: Array, work: Path) -> None:
    """Fill in the number of tokens of each row of a piece; `counts` is a column of these rows."""
    row = piece.first_row
    for batch in piece.batches(["characters", "text"]):
        characters = batch.column("characters").to_pylist()
        found = []
        with _Naming(work, row) as naming:
            for length, text in zip(characters, texts(batch), strict=True):
                found.append(encoder.count(length, bytes(text)))
                naming.row += 1
        counts[row - piece.first_row : naming.row - piece.first_row] = found
        row = naming.row


def write_documents(
    encoder: Encoder,
    piece: Piece,
    work: Path,
    writers: Sequence[Writer],
    advance: Advance = lambda characters: None,
) -> list[int]:
    """Write each document of a piece at its offset; returns the bytes of text in each split.

    Raises CorpusError where the tokenizer announced another number of tokens.
    """
    documents = Documents.open(work)
    splits, offsets = open_column(work / "split", "u1"), open_column(work / "offset", "i8")
    counts = open_column(work / "row_tokens", "i8")
    row, sizes = piece.first_row, np.zeros(len(SPLITS), np.int64)
    for batch in piece.batches(["characters", "text"]):
        stop = row + batch.num_rows
        belongs, announced = documents.of_rows(row, stop), counts[row:stop]
        codes, at = splits[belongs], offsets[belongs] + _within(documents, belongs, counts, row)
        columns = zip(codes.tolist(), at.tolist(), announced.tolist(), texts(batch), strict=True)
        with _Naming(work, row) as naming:
            for code, offset, expected, text in columns:
                tokens = encoder.encode(bytes(text))
                if len(tokens) != expected:
                    raise _contradiction(len(tokens), expected)
                writers[code].write(offset, tokens)
                naming.row += 1
        sizes += np.bincount(codes, np.diff(text_bounds(batch)), len(SPLITS)).astype(np.int64)
        advance(int(batch.column("characters").to_numpy().sum()))
        row = stop
    return [int(size) for size in sizes]


def _within(documents: Documents, belongs: Array, counts: Array, row: int) -> Array:
    """How many tokens of its document come before each row, from `row` on: int64."""
    announced = counts[row : row + len(belongs)]
    if len(documents.first_row) == documents.rows or not len(belongs):
        return np.zeros(len(belongs), np.int64)
    before = np.cumsum(announced) - announced
    first = np.maximum(documents.first_row[belongs] - row, 0)
    earlier = int(counts[documents.first_row[belongs[0]] : row].sum())
    within: Array = before - before[first] + np.where(belongs == belongs[0], earlier, 0)
    return within


class Cuts:
    """The segments of the concatenated text: consecutive character ranges [low, high) and their splits' codes."""

    def __init__(self, work: Path) -> None:
        columns: list[Any] = [
            open_column(work / name, kind)
            for name, kind in (("low", "i8"), ("high", "i8"), ("segment_split", "u1"))
        ]
        if len(columns[0]) <= _FEW:
            columns = [column.tolist() for column in columns]
        self._low, self._high, self._split = columns
        self._at = 0

    def seek(self, start: int) -> None:
        """Continue at this character."""
        self._at = int(np.searchsorted(self._high, start, "right"))

    def overlapping(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """(split, first, last) of the segments within [start, stop), cut to it; each call begins where the one before
        ended."""
        while self._at < len(self._low) and self._low[self._at] < stop:
            at = self._at
            first, last = max(int(self._low[at]), start), min(int(self._high[at]), stop)
            if first < last:
                yield int(self._split[at]), first, last
            if self._high[at] > stop:
                return
            self._at += 1


class Contiguous:
    """Encodes pieces of the concatenated text, cut into segments.

    `totals` counts the tokens, characters and bytes of each split: int64 `[3, splits]`.
    """

    def __init__(self, encoder: Encoder, work: Path, advance: Advance = lambda characters: None) -> None:
        self._encoder, self._work, self._advance = encoder, work, advance
        self._documents, self._cuts = Documents.open(work), Cuts(work)
        self._characters = open_column(work / "characters", "i8")

    def count(self, piece: Piece, at: int) -> Array:
        """The number of tokens of each split in a piece that begins at character `at`."""
        totals = [0] * len(SPLITS)
        with _Naming(self._work, piece.first_row) as naming:
            for naming.row, _, split, characters, data in self._cut(piece, at):
                totals[split] += self._encoder.count(characters, data)
        return np.array(totals)

    def write(self, piece: Piece, at: int, ends: Array, writers: Sequence[Writer]) -> tuple[Array, Array]:
        """Write a piece that begins at character `at`, each split from its token `ends`; returns the totals, and the
        places, in the order of the text."""
        tokens, lengths, sizes = ([0] * len(SPLITS) for _ in range(3))
        joined = [_Joined(writer, int(end)) for writer, end in zip(writers, ends, strict=True)]
        places: list[list[int]] = []
        last = (-1, -1)
        with _Naming(self._work, piece.first_row) as naming:
            for naming.row, (document, start), split, characters, data in self._cut(piece, at):
                made = self._encoder.encode(data)
                if last != (document, split):
                    last = (document, split)
                    places.append([document, split, start, 0, joined[split].end, 0])
                joined[split].write(made)
                places[-1][3] += characters
                places[-1][5] += len(made)
                tokens[split] += len(made)
                lengths[split] += characters
                sizes[split] += len(data)
        for one in joined:
            one.flush()
        return np.array([tokens, lengths, sizes]), np.array([tuple(place) for place in places], PLACE)

    def _cut(self, piece: Piece, at: int) -> Iterator[tuple[int, tuple[int, int], int, int, bytes]]:
        """(row, (document, character of it), split, characters, UTF-8) of each stretch of text in one segment."""
        row, document, begin = piece.first_row, -1, at - self._before(piece.first_row)
        self._cuts.seek(at)
        for batch in piece.batches(["characters", "text"]):
            belongs = self._documents.of_rows(row, row + batch.num_rows).tolist()
            lengths = batch.column("characters").to_pylist()
            for owner, length, text in zip(belongs, lengths, texts(batch), strict=True):
                if owner != document:
                    begin = begin if document < 0 else at
                    document = owner
                for split, first, last in self._cuts.overlapping(at, at + length):
                    whole = (first, last) == (at, at + length)
                    data = bytes(text) if whole else str(text, "utf-8")[first - at : last - at].encode()
                    yield row, (document, first - begin), split, last - first, data
                at, row = at + length, row + 1
            self._advance(sum(lengths))

    def _before(self, row: int) -> int:
        """The characters of a document before one of its rows."""
        if row >= self._documents.rows:
            return 0
        first = int(self._documents.first_row[self._documents.of_rows(row, row + 1)[0]])
        return int(self._characters[first:row].sum())


class _Joined:
    """Writes the tokens of consecutive texts together."""

    def __init__(self, writer: Writer, start: int) -> None:
        self._writer, self._start, self.end = writer, start, start
        self._held: list[Array] = []

    def write(self, tokens: Array) -> None:
        self._held.append(tokens)
        self.end += len(tokens)
        if self.end - self._start >= _JOINED:
            self.flush()

    def flush(self) -> None:
        if self._held:
            self._writer.write(self._start, np.concatenate(self._held))
        self._held, self._start = [], self.end


class _Naming:
    """Names the document in an error about the text of `row`."""

    def __init__(self, work: Path, row: int) -> None:
        self._work, self.row = work, row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, CharpipeError):
            documents = Documents.open(self._work)
            path = documents.path(int(documents.of_rows(self.row, self.row + 1)[0]))
            raise type(error)(f"{path!r}: {error}") from error


def _contradiction(made: int, announced: int) -> CorpusError:
    return CorpusError(
        f"it made {made} tokens where the tokenizer announced {announced}; its count_tokens and encode_utf8 "
        "contradict each other"
    )
