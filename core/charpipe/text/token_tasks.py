"""Encode pieces in other processes: the functions that they run, and the calls.

The processes read the documents and the columns of the work folder by their paths. Those of one machine write into the
token files.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from charpipe.parallel import ParallelMap
from charpipe.plugin import Encoding
from charpipe.plugins.registry import Registry
from charpipe.text.columns import Array, ColumnWriter, open_column
from charpipe.text.pieces import Piece
from charpipe.text.places import PLACE
from charpipe.text.splits import SPLITS
from charpipe.text.token_parts import copy_part, part_writers
from charpipe.text.token_pieces import Contiguous, Encoder, Writer, count_rows, write_documents
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
    """Carries out the pieces of one call of `encode` in other processes, or on other machines, which write files of
    their own that are copied here: see `token_parts`."""

    parallel: ParallelMap
    vocabulary: StoredVocabulary
    work: Path
    folder: Path
    writers: Sequence[TokenWriter]
    dtype: np.dtype[Any]

    def count_rows(self, every: Iterable[Piece], counts: Array, counted: Counted) -> None:
        """See `token_pieces.count_rows`; `counts` is a column of all rows."""
        listed = list(every)
        results = self.parallel.map(count_rows_task, map(self._arguments, listed), counted.again)
        for piece, path in zip(listed, results, strict=True):
            if path is not None:
                piece.of(counts)[:] = open_column(Path(path), "i8")
                Path(path).unlink()

    def write_documents(
        self, every: Iterable[Piece], characters: Array, counted: Counted
    ) -> Iterator[list[int]]:
        """See `token_pieces.write_documents`."""
        if not self.parallel.shares_files:
            self._write_back()
        listed = list(every)
        calls = map(self._arguments, listed)
        for piece, result in zip(
            listed, self.parallel.map(write_documents_task, calls, counted.again), strict=True
        ):
            self._copy(result["part"])
            counted.advance(int(piece.of(characters).sum()))
            yield result["sizes"]

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
            self._copy(result["part"])
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
            "folder": str(self.folder) if self.parallel.shares_files else None,
        }

    def _write_back(self) -> None:
        """Write the columns that this process has mapped to their files, where other machines read them."""
        for name, kind in (("split", "u1"), ("offset", "i8"), ("row_tokens", "i8")):
            path = self.work / name
            if path.exists() and isinstance(column := open_column(path, kind), np.memmap):
                column.flush()

    def _copy(self, part: str | None) -> None:
        if part is not None:
            copy_part(Path(part), self.dtype, self.writers)


# The tasks. `folder` is that of the token files, or None where they are not written to: then the results name files of
# their own, in the work folder.


def count_rows_task(
    piece: dict[str, Any], vocabulary: dict[str, Any], work: str, folder: str | None
) -> str | None:
    """Run `count_rows`."""
    these, encoder = Piece(**piece), Encoder(_encoding(**vocabulary))
    if folder is not None:
        count_rows(encoder, these, these.of(open_column(Path(work, "row_tokens"), "i8")), Path(work))
        return None
    own, counts = _own(these, work), np.zeros(these.rows, np.int64)
    count_rows(encoder, these, counts, Path(work))
    with ColumnWriter(own, "i8") as column:
        column.append(counts)
    return str(own)


def write_documents_task(
    piece: dict[str, Any], vocabulary: dict[str, Any], work: str, folder: str | None
) -> dict[str, Any]:
    """Run `write_documents`."""
    these, encoding = Piece(**piece), _encoding(**vocabulary)
    with _writers(these, encoding, work, folder) as (writers, part):
        sizes = write_documents(Encoder(encoding), these, Path(work), writers)
    return {"sizes": sizes, "part": part}


def count_text_task(
    piece: dict[str, Any], vocabulary: dict[str, Any], work: str, folder: str | None, at: int
) -> list[int]:
    """Run `Contiguous.count`."""
    counts: list[int] = (
        Contiguous(Encoder(_encoding(**vocabulary)), Path(work)).count(Piece(**piece), at).tolist()
    )
    return counts


def write_text_task(
    piece: dict[str, Any],
    vocabulary: dict[str, Any],
    work: str,
    folder: str | None,
    at: int,
    ends: list[int],
) -> dict[str, Any]:
    """Run `Contiguous.write`; the places are in a file."""
    these, encoding = Piece(**piece), _encoding(**vocabulary)
    with _writers(these, encoding, work, folder) as (writers, part):
        totals, places = Contiguous(Encoder(encoding), Path(work)).write(these, at, np.array(ends), writers)
    path = _own(these, work).with_suffix(".places")
    path.write_bytes(places.tobytes())
    return {"totals": totals.tolist(), "places": str(path), "part": part}


@contextmanager
def _writers(
    piece: Piece, encoding: Encoding, work: str, folder: str | None
) -> Iterator[tuple[Sequence[Writer], str | None]]:
    """The token files, which another process has created, or those of a part, with its name."""
    dtype = token_type(encoding.size)
    with ExitStack() as stack:
        if folder is None:
            part = _own(piece, work)
            yield stack.enter_context(part_writers(part, dtype)), str(part)
            return
        files = [Path(folder, f"{name}.npy") for name in SPLITS]
        yield [stack.enter_context(TokenWriter(file, dtype, shared=True)) for file in files], None


def _own(piece: Piece, work: str) -> Path:
    """A path that no other call has: a call may be made again while the first is still at work on a lost machine."""
    return Path(work, f"piece-{piece.first_row}-{uuid.uuid4().hex}")


def _encoding(path: str, plugins: list[str]) -> Encoding:
    return _loaded(path, tuple(plugins))


@lru_cache(maxsize=1)
def _loaded(path: str, plugins: tuple[str, ...]) -> Encoding:
    return load_vocabulary(Path(path), Registry([Path(folder) for folder in plugins]).all("tokenizer"))
