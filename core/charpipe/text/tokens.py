"""Token files: one memory-mapped `.npy` per split, with the counts needed to convert losses to bits."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from charpipe.errors import StoreError

FACTS_FILE = "tokens.json"
SCHEMA = "charpipe.tokens/1"
_HEADER = 128


@dataclass(frozen=True)
class SplitTokens:
    """The tokens of one split (read-only, `[tokens]`), with the length of their text in characters and bytes.

    Bits per character are `nats per token * len(tokens) / characters / ln 2`, and likewise for bytes (of UTF-8).
    """

    tokens: np.ndarray[Any, Any]
    characters: int
    bytes: int


def token_type(size: int) -> np.dtype[Any]:
    """The type of the tokens of a vocabulary of this size."""
    return np.min_scalar_type(max(size - 1, 1))


class TokenWriter:
    """Writes tokens at any offset of an `.npy` file whose length is known only at the end.

    It uses `pwrite` rather than a memory map, so that a full disk raises an error instead of crashing the process.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], *, shared: bool = False) -> None:
        """Create the file; with `shared`, write into one that another process creates and ends."""
        self._shared = shared
        self._file = path.open("r+b" if shared else "wb", buffering=0)
        self._dtype = dtype.newbyteorder("<")
        self.tokens = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None and not self._shared:
            self._write(self._header(), 0)
        self._file.close()

    def write(self, offset: int, tokens: np.ndarray[Any, Any]) -> None:
        """Write tokens at `offset` (in tokens). Gaps read as zero."""
        if len(tokens):
            data = np.ascontiguousarray(tokens, self._dtype).data.cast("B")
            self._write(data, _HEADER + offset * self._dtype.itemsize)
        self.tokens = max(self.tokens, offset + len(tokens))

    def _write(self, data: bytes | memoryview, at: int) -> None:
        view = memoryview(data)
        while view:
            done = os.pwrite(self._file.fileno(), view, at)
            view, at = view[done:], at + done

    def _header(self) -> bytes:
        """The .npy header, version 1.0 (numpy.lib.format), padded to a fixed length."""
        fields = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.tokens,)}
        start = b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little")
        return start + repr(fields).encode().ljust(_HEADER - 11) + b"\n"


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write the counts to tokens.json beside the token files."""
    (folder / FACTS_FILE).write_text(
        json.dumps({"schema": SCHEMA, **facts}, indent=1) + "\n", encoding="utf-8"
    )


def read_facts(folder: Path) -> dict[str, Any]:
    """The counts of a folder of token files. Raises StoreError if they cannot be read."""
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS_FILE).read_text("utf-8"))
        if facts["schema"] != SCHEMA:
            raise ValueError(f"its schema is {facts['schema']!r}, not {SCHEMA!r}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{folder / FACTS_FILE} cannot be read: {error}; run the encode stage again (--force encode)"
        ) from error
    return facts


def open_tokens(folder: Path, split: str) -> SplitTokens:
    """Open one split of a folder of token files. Raises StoreError if it is missing or invalid."""
    path = folder / f"{split}.npy"
    try:
        facts = json.loads((folder / FACTS_FILE).read_text("utf-8"))
        if facts["schema"] != SCHEMA:
            raise ValueError(f"its schema is {facts['schema']!r}, not {SCHEMA!r}")
        if facts["tokens"][split]:
            tokens = np.load(path, mmap_mode="r", allow_pickle=False)
        else:
            tokens = np.load(path, allow_pickle=False)
        if tokens.ndim != 1 or tokens.dtype.kind != "u" or len(tokens) != facts["tokens"][split]:
            raise ValueError(f"it holds {tokens.dtype} {tokens.shape}, not {facts['tokens'][split]} tokens")
        return SplitTokens(tokens, int(facts["characters"][split]), int(facts["bytes"][split]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} cannot be opened as tokens: {error}; run the encode stage again (--force encode)"
        ) from error
