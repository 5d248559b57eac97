"""Encode documents to token files: assign splits, compute each document's offset, and write its tokens there.

This takes one pass over the text if the tokenizer can predict the number of tokens, and two otherwise. Documents are
written directly to their shuffled offsets. What is needed of every document is kept in columns on disk, so that memory
use depends on neither the size nor the number of the documents. Pieces of the corpus can be encoded in parallel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charpipe.config.settings.text import SplitConfig
from charpipe.corpus.members import Progress
from charpipe.parallel import DIRECT, ParallelMap
from charpipe.parallel.work_folder import work_folder
from charpipe.plugin import Encoding, end_token
from charpipe.store.sqlite import database_errors
from charpipe.text import token_tasks
from charpipe.text.columns import CHUNK, Array, ColumnWriter, new_column, open_column
from charpipe.text.document_splits import count_shared, document_splits, shuffled_order
from charpipe.text.ends import count_ends
from charpipe.text.given_splits import find_ends
from charpipe.text.outline import Outline, write_outline
from charpipe.text.pieces import Piece, pieces
from charpipe.text.places import PLACE, merged, read_places, write_places
from charpipe.text.split_history import Segment, SplitHistory, divided, read_history
from charpipe.text.splits import SPLITS, By, split_by
from charpipe.text.token_pieces import Contiguous, Encoder, count_rows, write_documents
from charpipe.text.tokens import TokenWriter, token_type, write_facts


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
    parallel: ParallelMap = DIRECT,
    vocabulary: token_tasks.StoredVocabulary | None = None,
) -> dict[str, Any]:
    """Write train.npy, val.npy, test.npy, splits.parquet and tokens.json into `folder`; returns the counts.

    `salt`: key of the hash that assigns documents to splits, unless `split.salt` is set. `seed`: seed of the shuffle.
    Text in the tokens at `earlier` keeps its split, unless the splits are given. `parallel` encodes pieces in other
    processes, which load the encoding from `vocabulary`; the result is the same. Raises UsageError for a character that
    cannot be encoded, and for splits that are given and do not fit the text.
    """
    dtype = token_type(encoding.size)
    with ExitStack() as stack:
        work = stack.enter_context(work_folder(folder))
        writers = [stack.enter_context(TokenWriter(folder / f"{name}.npy", dtype)) for name in SPLITS]
        outline = write_outline(documents, work)
        apart = None
        if vocabulary is not None and parallel.processes > 1:
            apart = token_tasks.Apart(parallel, vocabulary, work, folder, writers, dtype)
        job = _Job(
            documents, outline, Encoder(encoding), work, writers, _Counted(progress, outline.total), apart
        )
        by = split_by(split, outline.documents)
        with database_errors("the splits of the earlier version"):
            history = None if split.is_given else _history(stack, earlier, by, work)
            totals, places, given = job.divided(split, by, split.salt or salt, seed, history)
        for writer, tokens in zip(writers, totals[0].tolist(), strict=True):
            writer.tokens = tokens
        write_places(folder / "splits.parquet", outline, places)
    if (token := end_token(encoding)) is not None:  # an end is no character of the text
        totals[1:] -= [count_ends(folder / f"{name}.npy", token) for name in SPLITS]
    tokens, characters, sizes = (dict(zip(SPLITS, counts, strict=True)) for counts in totals.tolist())
    facts = {
        "tokens": tokens,
        "characters": characters,
        "bytes": sizes,
        "split_by": by,
        "dtype": dtype.name,
        "vocabulary_size": encoding.size,
        **({"given": given} if given else {}),
    }
    write_facts(folder, facts)
    return facts


def _history(stack: ExitStack, earlier: Path | None, by: By, work: Path) -> SplitHistory | None:
    history = read_history(earlier, by, work) if earlier is not None else None
    if history is not None:
        stack.callback(history.close)
    return history


class _Counted:
    """Counts the characters that were encoded, and reports them."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def advance(self, characters: int) -> None:
        self._done += characters
        self._progress(self._done, self._total)

    def again(self) -> None:
        self.advance(0)


@dataclass(frozen=True)
class _Job:
    """One call of `encode`. `apart`: carries out pieces in other processes, if any."""

    documents: Path
    outline: Outline
    encoder: Encoder
    work: Path
    writers: Sequence[TokenWriter]
    counted: _Counted
    apart: token_tasks.Apart | None

    def divided(
        self, split: SplitConfig, by: By, salt: str, seed: int, history: SplitHistory | None
    ) -> tuple[Array, Iterable[Array], dict[str, Any]]:
        """Write the splits; returns the totals, the places and, if the splits are given, what was seen of them."""
        if split.sizes is not None:
            ends = find_ends(self.documents, split.sizes)
            return *self.contiguous([ends.segments()]), ends.to_json()
        if by == "contiguous":
            return *self.contiguous(_segments(self.outline, split, history)), {}
        totals, places = self.by_document(split, salt, seed, history)
        if by != "files":
            return totals, places, {}
        given = open_column(self.work / "split", "u1")
        return totals, places, {"shared": count_shared(self.outline, given, self.work)}

    def by_document(
        self, split: SplitConfig, salt: str, seed: int, history: SplitHistory | None
    ) -> tuple[Array, Iterator[Array]]:
        """Write each document at its offset in the shuffled order of its split; returns the totals and the places."""
        outline = self.outline
        order, hashes = shuffled_order(outline, seed, self.work)
        splits = document_splits(outline, split, salt, self.work, history, hashes)
        counts = self._count_tokens()
        shuffled = _Shuffled(
            order,
            splits,
            outline.summed(counts, self.work / "document_tokens"),
            outline.summed(outline.characters, self.work / "document_characters"),
            new_column(self.work / "offset", "i8", outline.documents),
        )
        totals = shuffled.place()
        for sizes in self._write_documents():
            totals[2] += sizes
        return totals, shuffled.places()

    def _write_documents(self) -> Iterator[list[int]]:
        every = pieces(self.documents)
        if self.apart is not None:
            yield from self.apart.write_documents(every, self.outline.characters, self.counted)
            return
        for piece in every:
            yield write_documents(self.encoder, piece, self.work, self.writers, self.counted.advance)

    def _count_tokens(self) -> Array:
        """Tokens of every row: predicted from its characters or bytes, or counted by encoding it."""
        outline, predict = self.outline, self.encoder.predict
        counts = new_column(self.work / "row_tokens", "i8", outline.rows)
        every: Iterable[Piece] = pieces(self.documents)
        if predict(1, 1) is not None:
            # a character tokenizer's prediction does not depend on the size, which may then be unknown
            if predict(1, 1) == predict(1, 4):
                for at in range(0, outline.rows, CHUNK):
                    characters = outline.characters[at : at + CHUNK]
                    counts[at : at + CHUNK] = self._predicted(characters, characters)
                return counts
            if outline.sizes is not None:
                for start, stop in outline.chunks():
                    first = outline.first_row[start:stop]
                    characters = outline.per_document(outline.characters, start, stop)
                    counts[first] = self._predicted(characters, outline.sizes[start:stop])
                every = (piece for piece in every if outline.has_parts_in(piece.first_row, piece.rows))
        if self.apart is not None:
            self.apart.count_rows(every, counts, self.counted)
        else:
            for piece in every:
                count_rows(self.encoder, piece, piece.of(counts), self.work)
        return counts

    def _predicted(self, characters: Array, sizes: Array) -> list[int]:
        known = zip(characters.tolist(), sizes.tolist(), strict=True)
        return [self.encoder.predict(*each) or 0 for each in known]

    def contiguous(self, segments: Iterable[list[Segment]]) -> tuple[Array, Iterable[Array]]:
        """Write the concatenated text, cut into segments; returns the totals and the places."""
        _write_segments(segments, self.work)
        totals = np.zeros((3, len(SPLITS)), np.int64)
        paths = [self.work / f"places-{name}" for name in SPLITS]
        written = (
            self._write_text() if self.apart is None else self.apart.write_text(self._starts(), self.counted)
        )
        with ExitStack() as stack:
            columns = [stack.enter_context(ColumnWriter(path, "i8")) for path in paths]
            for found, places in merged(written, self.outline.paths):
                totals += found
                for code, column in enumerate(columns):
                    column.append(places[places["split"] == code].view("i8"))
        return totals, (places for path in paths for places in read_places(path))

    def _write_text(self) -> Iterator[tuple[Array, Array]]:
        text, ends = (
            Contiguous(self.encoder, self.work, self.counted.advance),
            np.zeros(len(SPLITS), np.int64),
        )
        for piece, at in self._starts():
            totals, places = text.write(piece, at, ends, self.writers)
            ends += totals[0]
            yield totals, places

    def _starts(self) -> Iterator[tuple[Piece, int]]:
        """Each piece, and the character that it begins at."""
        at = 0
        for piece in pieces(self.documents):
            yield piece, at
            at += int(self.outline.characters[piece.first_row : piece.first_row + piece.rows].sum())


@dataclass(frozen=True)
class _Shuffled:
    """Columns of the documents: `order` is the shuffled order, the others are in the order of the corpus."""

    order: Array
    splits: Array
    tokens: Array
    characters: Array
    offsets: Array

    def place(self) -> Array:
        """Fill in the offset of each document in its split; returns the totals, without the bytes."""
        totals = np.zeros((3, len(SPLITS)), np.int64)
        for start in range(0, len(self.order), CHUNK):
            some = self.order[start : start + CHUNK]
            for code, chosen in enumerate(some[self.splits[some] == code] for code in range(len(SPLITS))):
                lengths = self.tokens[chosen]
                self.offsets[chosen] = totals[0, code] + np.cumsum(lengths) - lengths
                totals[0, code] += lengths.sum()
                totals[1, code] += self.characters[chosen].sum()
        return totals

    def places(self) -> Iterator[Array]:
        """The places of the documents: those of each split in shuffled order."""
        for code in range(len(SPLITS)):
            for start in range(0, len(self.order), CHUNK):
                some = self.order[start : start + CHUNK]
                some = some[self.splits[some] == code]
                places = np.zeros(len(some), PLACE)
                places["document"], places["split"], places["offset"] = some, code, self.offsets[some]
                places["characters"], places["tokens"] = self.characters[some], self.tokens[some]
                yield places


def _write_segments(found: Iterable[list[Segment]], work: Path) -> None:
    """Write the segments of the concatenated text as columns."""
    names = ("low", "high", "segment_split")
    with ExitStack() as stack:
        low, high, code = (
            stack.enter_context(ColumnWriter(work / name, kind))
            for name, kind in zip(names, ("i8", "i8", "u1"), strict=True)
        )
        for segments in found:
            low.append([segment[1] for segment in segments])
            high.append([segment[2] for segment in segments])
            code.append([SPLITS.index(segment[0]) for segment in segments])


def _segments(outline: Outline, split: SplitConfig, history: SplitHistory | None) -> Iterator[list[Segment]]:
    """The segments by fractions: old text is cut as before, new text is cut separately."""
    if history is None:
        yield divided(0, outline.total, split)
        return
    at = 0
    for start, stop in outline.chunks():
        paths, contents = outline.paths[start:stop].to_pylist(), outline.contents[start:stop].to_pylist()
        lengths = outline.per_document(outline.characters, start, stop).tolist()
        found: list[Segment] = []
        for path, content, characters in zip(paths, contents, lengths, strict=True):
            found += history.segments(path, content, at, characters, split)
            at += characters
        yield found
