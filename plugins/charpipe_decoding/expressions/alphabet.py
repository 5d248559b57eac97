"""The characters that a vocabulary can write, and the tokens that write them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.plugin import Encoding, UsageError, end_token

POINTS = 0x110000
NEVER = 1 << 30
"""Tokens of what cannot be written."""
LEADS = ((0xC2, 0xE0, 2), (0xE0, 0xF0, 3), (0xF0, 0xF5, 4))
"""First, one past the last first byte of characters with 2, 3 and 4 bytes of UTF-8."""
Costs = NDArray[np.int32]


class Characters:
    """A token for each character. Tokens that are no whole character, such as half bytes, are never written, nor is the
    token that ends a document."""

    def __init__(self, encoding: Encoding) -> None:
        whole = {
            text: token
            for token in range(encoding.size)
            if token != end_token(encoding) and len(text := _text(encoding, token)) == 1
        }
        self.text = "".join(whole)
        self.tokens = np.array(list(whole.values()), np.int64)
        self.size = encoding.size
        self._places = np.full(self.size, -1, np.int64)
        self._places[self.tokens] = np.arange(len(self.tokens))
        self.costs: Costs = np.ones(len(self.text), np.int32)
        """The number of tokens of each character."""

    def token_costs(self, after: Costs, pending: bytes) -> Costs:
        """For each token the number of tokens up to a match, itself included, where `after` [characters] says how many
        follow each character."""
        found = np.full(self.size, NEVER, np.int32)
        found[self.tokens] = after + 1
        return np.minimum(found, NEVER)

    def read(self, token: int, pending: bytes) -> tuple[int | None, bytes]:
        """The character that the token completes, by its place in `text`, or None; and the bytes that wait."""
        return int(self._places[token]), b""


class Bytes:
    """The tokens are the 256 bytes of UTF-8; the place of a character is its code point."""

    size = 256

    def __init__(self, end: int | None = None) -> None:
        self.text = "".join(map(chr, range(POINTS)))
        self.costs: Costs = np.ones(POINTS, np.int32)
        for start in (0x80, 0x800, 0x10000):
            self.costs[start:] += 1
        self.costs[0xD800:0xE000] = NEVER  # surrogates have no UTF-8
        if end is not None:
            self.costs[end] = NEVER

    def token_costs(self, after: Costs, pending: bytes) -> Costs:
        """As `Characters.token_costs`, where the bytes `pending` of a character are already written."""
        after = np.where(self.costs < NEVER, after, NEVER)
        found = np.full(256, NEVER, np.int32)
        if not pending:
            found[:0x80] = after[:0x80] + 1
        for byte in range(0x80, 0xC0) if pending else range(0xC2, 0xF5):
            data = pending + bytes([byte])
            first, count, length = _range(data)
            within = after[max(first, _least(length)) : first + count]
            if len(within):
                found[byte] = 1 + length - len(data) + int(within.min())
        return np.minimum(found, NEVER)

    def read(self, token: int, pending: bytes) -> tuple[int | None, bytes]:
        """As `Characters.read`."""
        data = pending + bytes([token])
        if token < 0x80 or _range(data)[2] == len(data):
            return ord(data.decode()), b""
        return None, data


Alphabet = Characters | Bytes


def alphabet(encoding: Encoding) -> Alphabet:
    """The alphabet of a vocabulary. Raises UsageError where its tokens are neither characters nor bytes."""
    if encoding.size == 256 and encoding.encode("é€").tolist() == list("é€".encode()):
        return Bytes(end_token(encoding))
    found = Characters(encoding)
    if not found.text:
        raise UsageError(
            "a regular expression needs a vocabulary of characters or of bytes; this one has neither"
        )
    return found


def members(characters: re.Pattern[str], text: str) -> NDArray[np.bool_]:
    """Which characters of `text` a set has."""
    found = np.zeros(len(text), np.bool_)
    for match in characters.finditer(text):
        found[match.start() : match.end()] = True
    return found


def _text(encoding: Encoding, token: int) -> str:
    """The character of a token; empty where it is a part of one or more than one."""
    text = encoding.decoder().decode([token], final=True)
    try:
        tokens: list[Any] = encoding.encode(text).tolist()
    except UsageError:
        return ""
    return text if tokens == [token] else ""


def _range(data: bytes) -> tuple[int, int, int]:
    """The first code point whose UTF-8 begins with these bytes, their number, and their length in bytes."""
    length = next((size for first, end, size in LEADS if first <= data[0] < end), 1)
    point = data[0] & (0x7F >> length)
    for byte in data[1:]:
        point = point << 6 | byte & 0x3F
    bits = 6 * (length - len(data))
    return point << bits, 1 << bits, length


def _least(length: int) -> int:
    """The first code point whose UTF-8 has this length; shorter ones written with it are not valid."""
    return {1: 0, 2: 0x80, 3: 0x800, 4: 0x10000}[length]
