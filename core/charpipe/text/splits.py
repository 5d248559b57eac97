"""Assign documents to the train, val and test splits, deterministically by path and content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from charpipe.config.settings.text import SplitConfig

SPLITS = ("train", "val", "test")
ENOUGH_DOCUMENTS = 100
"""With at least this many documents, `auto` splits by document."""

By = Literal["documents", "contiguous", "files"]


def split_by(config: SplitConfig, documents: int) -> By:
    """Whether a corpus of this many documents is split by document, contiguously or by files; sizes are contiguous."""
    if config.sizes is not None:
        return "contiguous"
    if config.by == "auto":
        return "documents" if documents >= ENOUGH_DOCUMENTS else "contiguous"
    return config.by


def assign_splits(
    paths: Sequence[str],
    contents: Sequence[str],
    config: SplitConfig,
    salt: str,
    previous: Mapping[str, str] | None = None,
) -> list[str]:
    """The split of each document, by a hash of its path keyed with the corpus's salt.

    A new document never moves an old one to another split. Documents with equal `contents` (SHA-256) share a split:
    the one that `previous` (path to split) has for one of them, else that of the first of them by path.
    """
    previous = previous or {}
    leaders: dict[str, str] = {}
    for path, content in sorted(zip(paths, contents, strict=True), key=lambda pair: pair[0]):
        leader = leaders.setdefault(content, path)
        if path in previous and leader not in previous:
            leaders[content] = path
    by_content = {
        content: previous.get(leader) or _split_of(leader, config, salt)
        for content, leader in leaders.items()
    }
    return [by_content[content] for content in contents]


def shuffled(paths: Sequence[str], seed: int) -> list[int]:
    """Indices of the documents in an order that depends only on the seed and their paths."""
    key = shuffle_key(seed)
    order = [blake2b(_name(path), digest_size=16, key=key).digest() for path in paths]
    return sorted(range(len(paths)), key=lambda at: (order[at], at))


def cut_points(characters: int, config: SplitConfig) -> tuple[int, int]:
    """The cut points of a text of this many characters: train ends at the first, val at the second."""

    def cut(share: float) -> int:
        # the epsilon makes 0.9 + 0.1 cover the whole text despite rounding
        return min(int(characters * share + 1e-6), characters)

    first, second, rest = config.fractions
    train = cut(first)
    return train, max(train, cut(first + second) if rest else characters)


def shuffle_key(seed: int) -> bytes:
    """The key of the hash of a path by which documents are shuffled."""
    return seed.to_bytes(16, "little", signed=True)


def split_key(salt: str) -> bytes:
    """The key of the hash of a path that assigns a document to a split."""
    return blake2b(salt.encode(), digest_size=32).digest()


def splits_at(hashes: NDArray[np.uint64], config: SplitConfig) -> NDArray[np.uint8]:
    """The splits of documents whose paths have these hashes, as indices of SPLITS."""
    at = hashes.astype(np.float64) / 2**64
    train, val, test = config.fractions
    # without a test fraction the rest is val, even if the fractions do not sum to 1 in floating point
    is_val = (at < train + val) | (not test) if val else np.zeros(len(at), bool)
    rest = np.where(is_val, 1, 2 if test else 0)
    return np.where(at < train, 0, rest).astype(np.uint8)


def _split_of(path: str, config: SplitConfig, salt: str) -> str:
    digest = blake2b(_name(path), digest_size=8, key=split_key(salt)).digest()
    return SPLITS[int(splits_at(np.frombuffer(digest, "<u8"), config)[0])]


def _name(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
