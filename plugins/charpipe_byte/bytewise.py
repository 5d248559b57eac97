"""Bytes as tokens: nothing is learnt, every text can be written, nothing is ever unknown."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from charpipe.plugin import Options, UsageError


def learn(counts: Mapping[str, int], config: Options) -> dict[str, Any]:
    """The vocabulary, which is the same for every corpus."""
    return {}


def extend(vocabulary: Mapping[str, Any], counts: Mapping[str, int], config: Options) -> dict[str, Any]:
    """The same: there is nothing that it lacks."""
    return {}


def load(vocabulary: Mapping[str, Any]) -> ByteEncoding:
    """The one encoding there is."""
    return ByteEncoding()


class ByteEncoding:
    """Token i is the byte i."""

    size = 256
    labels = tuple(chr(byte) if 33 <= byte < 127 else f"<{byte:02x}>" for byte in range(256))

    def encode(self, text: str) -> np.ndarray[Any, Any]:
        """The text's UTF-8. Raises UsageError for half a surrogate pair, which UTF-8 cannot write."""
        try:
            return self.encode_utf8(text.encode())
        except UnicodeEncodeError as error:
            raise UsageError(
                f"{text[error.start]!r} is half a character (a lone surrogate); leave it out"
            ) from error

    def encode_utf8(self, data: bytes) -> np.ndarray[Any, Any]:
        """The bytes themselves, not copied."""
        return np.frombuffer(data, np.uint8)

    def count_tokens(self, characters: int, size: int) -> int:
        """How many tokens a text of so many characters and UTF-8 bytes has."""
        return size

    def decoder(self) -> ByteDecoder:
        """A fresh decoder."""
        return ByteDecoder()


class ByteDecoder:
    """Bytes to text as they come; an unfinished character waits, and nonsense becomes U+FFFD."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def decode(self, ids: Iterable[int], final: bool = False) -> str:
        """The text that is certain after these tokens; with `final`, all of it."""
        tokens = [int(token) for token in ids]
        if any(not 0 <= token < 256 for token in tokens):
            raise UsageError("a token of the byte vocabulary is between 0 and 255")
        return self._utf8.decode(bytes(tokens), final)
