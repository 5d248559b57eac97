"""How surprising a model finds each character of the beginning of a held-out text, for the report of its run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charpipe.models import Predictor
from charpipe.plugin import Encoding

SHOWN = 600
"""Characters that are read."""


@dataclass(frozen=True)
class Surprise:
    """The pieces of a text (a character each, most of the time) and the surprise of each in bits: NaN for the first,
    which nothing comes before, and infinity where the model held the piece for impossible. `split` is the text's:
    `val` or `test`."""

    split: str
    pieces: tuple[str, ...]
    bits: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """As a JSON object, in which null stands for what is no finite number."""
        bits = [round(value, 2) if math.isfinite(value) else None for value in self.bits]
        return {"split": self.split, "pieces": list(self.pieces), "bits": bits}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Surprise | None:
        """What `as_json` wrote; None where it is something else."""
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
    """The surprise of the first `most` characters that `tokens` spell, read from the model's initial state; None where
    they are fewer than two."""
    from charpipe.inspection.activations import read

    text = "".join(encoding.decoder().decode([int(token) for token in tokens]))[:most]
    if len(text) < 2:
        return None
    reading = read(predictor, encoding, text)
    return Surprise(split, tuple(piece.text for piece in reading.pieces), tuple(reading.bits.tolist()))


__all__ = ["SHOWN", "Surprise", "surprise"]
