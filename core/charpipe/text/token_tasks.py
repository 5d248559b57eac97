"""Encode pieces in other processes: the functions that they run, and the calls.

The processes read the documents and the columns of the work folder, and write into the token files, all by their paths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from charpipe.parallel import ParallelMap
from charpipe.plugin import Encoding
from charpipe.plugins.registry import Registry
from charpipe.text.columns import Array, open_column
from charpipe.text.pieces import Piece
from charpipe.text.places import PLACE
from charpipe.text.splits import SPLITS
from charpipe.text.token_pieces import Contiguous, Encoder, count_rows, write_documents
from charpipe.text.tokens import TokenWriter, token_type
from charpipe.text.vocabulary import load_vocabulary


@dataclass(frozen=True)
class StoredVocabulary:
    """A vocabulary's file, and the folders of plugins that may provide its tokenizer."""

    path: str
    plugins: tuple[str, ...] = ()


class Counted(Protocol):
    """Reports progress."""

    def advance(self, characters: int) -> None: ...
    def again(self) -> None: ...


@dataclass(frozen=True)
class Apart:
    """Carries out the pieces of one call of `encode` in other processes."""

    parallel: ParallelMap
    vocabulary: StoredVocabulary
    work: Path
    folder: Path

    def count_rows(self, every: Iterable[Piece], counted: Counted) -> None:
        """See `token_pieces.count_rows`."""
        for _ in self.parallel.map(count_rows_task, map(self._arguments, every), counted.again):
            pass

    def write_documents(
        self, every: Iterable[Piece], characters: Array, counted: Counted
    ) -> Iterator[list[int]]:
        """See `token_pieces.write_documents`."""
        listed = list(every)
        calls = map(self._arguments, listed)
        for piece, sizes in zip(
            listed, self.parallel.map(write_documents_task, calls, counted.again), strict=True
        ):
            counted.advance(int(characters[piece.first_row : piece.first_row + piece.rows].sum()))
            yield sizes

    def write_text(
        self, starts: Iterable[tuple[Piece, int]], counted: Counted
    ) -> Iterator[tuple[Array, Array]]:
        """See `Contiguous.write`. The tokens of every piece are counted first."""
        calls = [self._arguments(piece) | {"at": at} for piece, at in starts]
        counts = np.array(list(self.parallel.map(count_text_task, calls, counted.again)), np.int64).reshape(
            -1, len(SPLITS)
        )
        ends = (np.cumsum(counts, 0) - counts).tolist()
        writes = (call | {"ends": end} for call, end in zip(calls, ends, strict=True))
        for result in self.parallel.map(write_text_task, writes, counted.again):
            path = Path(result["places"])
            places = open_column(path, "i8").view(PLACE)
            path.unlink()
            totals = np.array(result["totals"], np.int64)
            counted.advance(int(totals[1].sum()))
            yield totals, places

    def _arguments(self, piece: Piece) -> dict[str, Any]:
        return {
            "piece": piece.to_json(),
            "vocabulary": asdict(self.vocabulary),
            "work": str(self.work),
            "folder": str(self.folder),
        }


def count_rows_task(piece: dict[str, Any], vocabulary: dict[str, Any], work: str, folder: str) -> None:
    """Run `count_rows`."""
    counts = open_column(Path(work, "row_tokens"), "i8")
    count_rows(Encoder(_encoding(**vocabulary)), Piece(**piece), counts, Path(work))


def write_documents_task(
    piece: dict[str, Any], vocabulary: dict[str, Any], work: str, folder: str
) -> list[int]:
    """Run `write_documents`."""
    with _writers(folder, vocabulary) as writers:
        return write_documents(Encoder(_encoding(**vocabulary)), Piece(**piece), Path(work), writers)


def count_text_task(
    piece: dict[str, Any], vocabulary: dict[str, Any], work: str, folder: str, at: int
) -> list[int]:
    """Run `Contiguous.count`."""
    counts: list[int] = (
        Contiguous(Encoder(_encoding(**vocabulary)), Path(work)).count(Piece(**piece), at).tolist()
    )
    return counts


def write_text_task(
    piece: dict[str, Any], vocabulary: dict[str, Any], work: str, folder: str, at: int, ends: list[int]
) -> dict[str, Any]:
    """Run `Contiguous.write`; the places are in a file."""
    text = Contiguous(Encoder(_encoding(**vocabulary)), Path(work))
    with _writers(folder, vocabulary) as writers:
        totals, places = text.write(Piece(**piece), at, np.array(ends), writers)
    path = Path(work, f"piece-{piece['first_row']}.places")
    path.write_bytes(places.tobytes())
    return {"totals": totals.tolist(), "places": str(path)}


@contextmanager
def _writers(folder: str, vocabulary: dict[str, Any]) -> Iterator[list[TokenWriter]]:
    """The token files of a folder, which another process has created."""
    dtype = token_type(_encoding(**vocabulary).size)
    with ExitStack() as stack:
        yield [
            stack.enter_context(TokenWriter(Path(folder, f"{name}.npy"), dtype, shared=True))
            for name in SPLITS
        ]


def _encoding(path: str, plugins: list[str]) -> Encoding:
    return _loaded(path, tuple(plugins))


@lru_cache(maxsize=1)
def _loaded(path: str, plugins: tuple[str, ...]) -> Encoding:
    return load_vocabulary(Path(path), Registry([Path(folder) for folder in plugins]).all("tokenizer"))
