"""All places of a text in the order of what comes before them, read backwards: places with the same last k
characters lie side by side, whatever k is, so that counting is cutting this order into segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORD = 64


@dataclass(frozen=True)
class Order:
    """`places[r]` is the r-th place; it shares its last `shared[r]` characters with the one before it in the order.

    A place is that of the predicted token. What lies before the text's beginning is a character of its own. `shared`
    (int8) is capped at the length that was sorted by, and -1 for the first.
    """

    places: NDArray[np.int64]
    shared: NDArray[np.int8]

    def starts(self, length: int) -> NDArray[np.int64]:
        """Where each segment of places with the same last `length` characters begins."""
        return np.flatnonzero(self.shared < length)


def order_places(tokens: NDArray[Any], length: int, vocabulary_size: int) -> Order:
    """Sort all places by the `length` tokens before them, the nearest first."""
    count = len(tokens)
    if length == 0:
        shared = np.zeros(count, np.int8)
        shared[:1] = -1
        return Order(np.arange(count), shared)
    bits = vocabulary_size.bit_length()  # 0 stands for what lies before the beginning
    per_word = WORD // bits
    words = [
        _packed(tokens, first, min(first + per_word, length), bits) for first in range(0, length, per_word)
    ]
    places = np.lexsort(words[::-1]) if len(words) > 1 else np.argsort(words[0], kind="stable")
    shared = np.zeros(count, np.int8)
    same = np.ones(count - 1, bool)
    for number, word in enumerate(words):
        here = min(per_word, length - number * per_word)
        ordered = word[places]
        different = ordered[1:] ^ ordered[:-1]
        for place in range(1, here + 1):
            same &= (different >> np.uint64(bits * (here - place))) == 0
            shared[1:] += same
    shared[:1] = -1
    return Order(places, shared)


def _packed(tokens: NDArray[Any], first: int, last: int, bits: int) -> NDArray[np.uint64]:
    """For each place the tokens from `first` + 1 to `last` before it in one number, the nearest on top."""
    word = np.zeros(len(tokens), np.uint64)
    for back in range(first + 1, last + 1):
        word <<= np.uint64(bits)
        if back < len(tokens):
            word[back:] += tokens[: len(tokens) - back].astype(np.uint64) + np.uint64(1)
    return word
