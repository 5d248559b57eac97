"""What a page needs of a vocabulary: the character of each token, or the part of a character's UTF-8 that it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from charpipe.errors import UsageError
from charpipe.plugin import Encoding

NO_CHARACTER = 0xFF
"""A byte that is in no character's UTF-8; there are several, and they read the same."""
POINTS = (range(0x80), range(0x80, 0x800, 7), range(0x800, 0xD800, 97), range(0xE000, 0x110000, 0x1FC1))
PROBES = [chr(point) for points in POINTS for point in points]
"""Characters whose UTF-8 has every byte there is in UTF-8."""


def characters(encoding: Encoding, tokenizer: str) -> list[str | list[Any]]:
    """For each token its character; or `["byte", n]`, `["nibble", n]` (half a byte, the high one first) for a part of
    one. Raises UsageError where a token is something else.

    Which is which is found by encoding characters, so that any tokenizer of characters or bytes is known.
    """
    parts = _parts(encoding)
    found: list[str | list[Any]] = []
    for token in range(encoding.size):
        text = encoding.decoder().decode([token], final=True)
        if _is_whole(encoding, text, token):
            found.append(text)
        elif token in parts:
            found.append(list(parts[token]))
        elif text == "\ufffd":
            found.append(["byte", NO_CHARACTER])
        else:
            raise UsageError(
                f"the page writes characters and bytes, but the tokenizer {tokenizer!r} has tokens that are neither, "
                f"such as {encoding.labels[token]!r}; --to folder takes any model"
            )
    return found


def _is_whole(encoding: Encoding, text: str, token: int) -> bool:
    return len(text) == 1 and _encoded(encoding, text) == [token]


def _parts(encoding: Encoding) -> dict[int, tuple[str, int]]:
    """The tokens that are bytes or nibbles."""
    found: dict[int, tuple[str, int]] = {}
    for character in PROBES:
        data, tokens = character.encode(), _encoded(encoding, character)
        if len(tokens) == len(data) > 1:
            found.update(zip(tokens, (("byte", each) for each in data), strict=True))
        elif len(tokens) == 2 * len(data):
            found.update(zip(tokens, (("nibble", each) for each in _nibbles(data)), strict=True))
    return found


def _nibbles(data: bytes) -> Iterable[int]:
    return (part for byte in data for part in (byte >> 4, byte & 15))


def _encoded(encoding: Encoding, text: str) -> list[int]:
    try:
        found: list[int] = encoding.encode(text).tolist()
    except UsageError:
        return []
    return found
