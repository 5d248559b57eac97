"""A model's prediction: a probability distribution over the next character."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from charpipe.pages.notebook import shortened

SHOWN = 10
BAR = 40


class Distribution(Mapping[str, float]):
    """Probabilities by character, most likely first; they sum to one.

    Built from logits [V] and the characters of the tokens. `probabilities` is in token order, float64 [V].
    """

    def __init__(self, logits: NDArray[np.float32], characters: Sequence[str]) -> None:
        shifted = np.exp(logits.astype(np.float64) - logits.max())
        self.probabilities: NDArray[np.float64] = shifted / shifted.sum()
        order = np.argsort(-self.probabilities, kind="stable")
        self._values = {characters[token]: float(self.probabilities[token]) for token in order}

    def __getitem__(self, character: str) -> float:
        return self._values[character]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def likeliest(self) -> str:
        """The most likely character."""
        return next(iter(self))

    @property
    def entropy(self) -> float:
        """The entropy of the distribution in bits."""
        positive = self.probabilities[self.probabilities > 0]
        return float(-(positive * np.log2(positive)).sum())

    def __str__(self) -> str:
        rows = [
            f"{character!r:>8} {share:7.2%} {'█' * round(BAR * share)}".rstrip()
            for character, share in list(self.items())[:SHOWN]
        ]
        rest = 1 - sum(list(self.values())[:SHOWN])
        return "\n".join(rows + [f"{'others':>8} {rest:7.2%}"] * (len(self) > SHOWN))

    def _repr_html_(self) -> str:
        """An HTML bar chart for notebooks, with the same characters as `print` shows."""
        shares = list(self.items())[:SHOWN]
        rows = "".join(_row(f"<code>{html.escape(_named(char))}</code>", share) for char, share in shares)
        rest = max(0.0, 1 - sum(share for _, share in shares))
        return f"<table>{rows}{_row('others', rest) if len(self) > SHOWN else ''}</table>"

    def __repr__(self) -> str:
        shown = ", ".join(f"{_named(char)}: {share:.3f}" for char, share in list(self.items())[:3])
        return f"<Distribution {shown}{', …' * (len(self) > 3)}>"


def _named(character: str) -> str:
    return shortened(repr(character), 40)


def _row(name: str, share: float) -> str:
    """A table row: a name as HTML, its probability, and a bar of that length."""
    bar = f"<div style='background:#4c8bc9;height:.8em;width:{100 * share:.1f}%'></div>"
    return f"<tr><td style='text-align:left'>{name}</td><td>{share:.2%}</td><td style='width:16em'>{bar}</td></tr>"
