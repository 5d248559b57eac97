"""The surprise of each character at the beginning of a held-out text, for the run's report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charpipe.corpus.ends import END
from charpipe.inspection.activations import read
from charpipe.models import Predictor
from charpipe.plugin import Encoding, end_token

SHOWN = 600
"""Number of characters read."""
SHOWN_END = "␃\n"
"""How the end of a document is shown."""


@dataclass(frozen=True)
class Surprise:
    """The pieces of a text (usually a character each) and the surprise of each in bits: NaN for the first, which has
    no context, and infinity if the model gave the piece zero probability. `split` is the text's: `val` or `test`."""

    split: str
    pieces: tuple[str, ...]
    bits: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """A JSON object, with null for non-finite numbers."""
        bits = [round(value, 2) if math.isfinite(value) else None for value in self.bits]
        return {"split": self.split, "pieces": list(self.pieces), "bits": bits}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Surprise | None:
        """Parse the output of `as_json`; None for anything else."""
        split, pieces, bits = found.get("split"), found.get("pieces"), found.get("bits")
        if not isinstance(split, str) or not isinstance(pieces, list) or not isinstance(bits, list):
            return None
        if not pieces or len(pieces) != len(bits) or not all(isinstance(piece, str) for piece in pieces):
            return None
        if not all(value is None or isinstance(value, int | float) for value in bits):
            return None
        numbers = [math.inf if value is None else float(value) for value in bits]
        return cls(split, tuple(pieces), (math.nan, *numbers[1:]))


def surprise(
    predictor: Predictor, encoding: Encoding, split: str, tokens: Sequence[int], most: int = SHOWN
) -> Surprise | None:
    """The surprise of the first `most` characters of `tokens`, read from the model's initial state; None if there are
    fewer than two."""
    text = "".join(encoding.decoder().decode([int(token) for token in tokens]))[:most]
    if len(text) < 2:
        return None
    reading = read(predictor, encoding, text)
    pieces = [piece.text for piece in reading.pieces]
    if end_token(encoding) is not None:
        pieces = [piece.replace(END, SHOWN_END) for piece in pieces]
    return Surprise(split, tuple(pieces), tuple(reading.bits.tolist()))


__all__ = ["SHOWN", "Surprise", "surprise"]
