"""Read one text with a model and record, at every character, activations, predictions and surprise."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charpipe.errors import UsageError
from charpipe.inspection.pieces import Piece, split_pieces
from charpipe.inspection.units import Group, count, groups, read_state
from charpipe.models import Predictor, open_stream
from charpipe.pages.notebook import coloured
from charpipe.plugin import Encoding

TOP = 5
FULL_BITS = 8
"""Surprise in bits that a notebook shows in full color."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, repr=False)
class Reading:
    """One text as read by a model from its initial state, with the state carried from the first character to the
    last.

    `units` float32 [pieces, units], in the columns of `groups`, holds the activations after each piece of text;
    `likeliest` and `chances` [pieces, 5] the most likely next tokens and their probabilities; `tokens` [pieces] the
    first token of each piece; `bits` [pieces] the piece's surprise (NaN for the first, which has no context; infinity
    if the model gave it zero probability).
    """

    pieces: Sequence[Piece]
    tokens: NDArray[np.int64]
    groups: tuple[Group, ...]
    units: NDArray[np.float32]
    likeliest: NDArray[np.int64]
    chances: NDArray[np.float32]
    bits: NDArray[np.float32]

    def __repr__(self) -> str:
        bits = f"{self.bits_per_char:.3f} bits each" if len(self.bits) > 1 else "nothing predicted"
        return f"<Reading: {len(self.text):,} characters, {bits}, {self.units.shape[1]:,} units>"

    def _repr_html_(self) -> str:
        """The beginning of the text for notebooks, redder for higher surprise (full color from 8 bits)."""
        strengths = np.nan_to_num(self.bits / FULL_BITS, nan=0.0, posinf=1.0).tolist()
        return f"<p>{html.escape(repr(self))}</p>{coloured(zip((c.text for c in self.pieces), strengths, strict=True))}"

    @property
    def text(self) -> str:
        """The text that was read."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def bits_per_char(self) -> float:
        """The mean surprise of the characters after the first piece."""
        known = self.bits[1:]
        return float(known.sum() / sum(len(piece.text) for piece in self.pieces[1:]))


def read(
    predictor: Predictor,
    encoding: Encoding,
    text: str,
    progress: Progress = lambda done, total: None,
) -> Reading:
    """Read `text` once, character by character.

    Raises UsageError for a character that is not in the vocabulary, which the message names, or for a text of fewer
    than two characters.
    """
    tokens = encoding.encode(text).astype("int64")
    if len(text) < 2:
        raise UsageError(
            f"the text has {len(text)} character{'' if len(text) == 1 else 's'}; nothing comes before or after it "
            "to predict: give a longer one"
        )
    pieces = split_pieces(encoding, tokens)
    found = groups(predictor)
    units = np.zeros((len(pieces), count(found)), np.float32)
    likeliest = np.zeros((len(pieces), min(TOP, encoding.size)), np.int64)
    chances = np.zeros(likeliest.shape, np.float32)
    bits = np.zeros(len(tokens))
    stream = open_stream(predictor, predictor.initial_state(1))
    expected, ends = None, {piece.last: row for row, piece in enumerate(pieces)}
    for place, token in enumerate(tokens.tolist()):
        bits[place] = math.nan if expected is None else -_log2(float(expected[token]))
        expected = _softmax(stream.step(token))
        row = ends.get(place)
        if row is not None:
            if found:
                units[row] = read_state(stream.state)[0]
            likeliest[row] = _largest(expected, likeliest.shape[1])
            chances[row] = expected[likeliest[row]]
        progress(place + 1, len(tokens))
    summed = np.add.reduceat(bits, [piece.first for piece in pieces])
    firsts = tokens[[piece.first for piece in pieces]]
    return Reading(pieces, firsts, found, units, likeliest, chances, summed.astype(np.float32))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - float(logits.max()))
    found: NDArray[np.float64] = powers / powers.sum()
    return found


def _largest(chances: NDArray[np.float64], many: int) -> NDArray[np.int64]:
    """Indices of the largest values, in descending order; ties in vocabulary order."""
    return np.argsort(-chances, kind="stable")[:many]


def _log2(chance: float) -> float:
    return math.log2(chance) if chance > 0 else -math.inf
