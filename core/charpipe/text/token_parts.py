"""The tokens of one piece in files of their own, from which the token files are put together.

Machines that mount a folder over a network do not write to one file together: they may overwrite each other's parts of
a page. So each writes the tokens of a piece, and where they belong, and one machine copies them there.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from charpipe.errors import StoreError
from charpipe.text.columns import Array, ColumnWriter, open_column
from charpipe.text.splits import SPLITS
from charpipe.text.token_pieces import Writer


class PartWriter:
    """Appends the tokens of a split to a file. `runs` are the offset and the length of each run of them."""

    def __init__(self, tokens: ColumnWriter) -> None:
        self._tokens = tokens
        self.runs = array("q")

    def write(self, offset: int, tokens: Array) -> None:
        """See `Writer.write`."""
        self._tokens.append(tokens)
        if self.runs and self.runs[-2] + self.runs[-1] == offset:
            self.runs[-1] += len(tokens)
        elif len(tokens):
            self.runs.extend((offset, len(tokens)))


@contextmanager
def part_writers(part: Path, dtype: np.dtype[Any]) -> Iterator[list[PartWriter]]:
    """A writer for each split; their files have the name `part`, and more after it."""
    with ExitStack() as stack:
        columns = [stack.enter_context(ColumnWriter(path, dtype.str)) for path, _ in _files(part)]
        writers = [PartWriter(column) for column in columns]
        yield writers
    for writer, (_, path) in zip(writers, _files(part), strict=True):
        with ColumnWriter(path, "i8") as runs:
            runs.append(writer.runs)


def copy_part(part: Path, dtype: np.dtype[Any], writers: Sequence[Writer]) -> None:
    """Write the tokens of a part to where they belong, and remove its files. Raises StoreError if some are missing."""
    for writer, (tokens_path, runs_path) in zip(writers, _files(part), strict=True):
        tokens, at = open_column(tokens_path, dtype.str), 0
        for offset, length in open_column(runs_path, "i8").reshape(-1, 2).tolist():
            writer.write(offset, tokens[at : at + length])
            at += length
        if at != len(tokens):
            raise StoreError(
                f"{tokens_path} has {len(tokens)} tokens where another machine wrote {at}; type the same command again"
            )
        tokens_path.unlink()
        runs_path.unlink()


def _files(part: Path) -> list[tuple[Path, Path]]:
    """The files of each split: its tokens, and their runs."""
    return [
        (part.with_name(f"{part.name}-{name}.tokens"), part.with_name(f"{part.name}-{name}.runs"))
        for name in SPLITS
    ]
