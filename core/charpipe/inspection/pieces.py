"""Group tokens into pieces of text: usually one character; bytes or nibbles of a character are grouped together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from charpipe.plugin import Encoding


@dataclass(frozen=True)
class Piece:
    """A piece of text, and the first and last of the tokens that encode it."""

    text: str
    first: int
    last: int


def split_pieces(encoding: Encoding, tokens: Iterable[int]) -> list[Piece]:
    """The pieces that the tokens encode. Incomplete tokens at the end form no piece."""
    decoder, found, first = encoding.decoder(), [], 0
    for place, token in enumerate(tokens):
        piece = decoder.decode((int(token),))
        if piece:
            found.append(Piece(piece, first, place))
            first = place + 1
    return found
