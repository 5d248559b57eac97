"""What a unit is worth: how much the loss rises when the unit is held at its mean.

The mean, not zero, because a unit that never changes tells nothing: held at its mean it only loses what it says about
the text. Zero would also take away a constant that the network has learned to expect, and may be a value that the unit
never has (both are usual: Pochinkov et al. 2024, arXiv 2408.17322, compare them; for language models of LSTMs, Lakretz
et al. 2019 hold one unit after the other at zero).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.inspection.held_copies import Copies, within_step
from charpipe.inspection.segments import MIN_LENGTH, RUN_UP, Segments, cut, record
from charpipe.inspection.signals import SIGNALS, Signal
from charpipe.inspection.units import Unit, count, groups, unit_at
from charpipe.models import Predictor
from charpipe.plugin import Encoding

LENGTH = 4 * RUN_UP
"""Tokens of a segment: short, so that a text has many and the error can be estimated from their spread."""
MOST = 32 * LENGTH
"""Tokens of a text that are read."""
MIN_SEGMENTS = 8
READ = 1 << 24
"""Tokens that all copies together read, about; with many units the text is shorter."""
ROWS = 2048
"""Streams of all copies in a batch."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Rise:
    """The rise of the loss in nats per character, its standard error over the segments of the text, and the number of
    `characters` that were predicted."""

    nats: float
    error: float
    characters: int


@dataclass(frozen=True)
class Ablation:
    """The rise of the loss with one unit held at its mean (`held_at`), over all characters; and, if the unit detects
    `signal`, over those that were predicted while the signal was on (`on`) and off (`off`)."""

    unit: Unit
    held_at: float
    all: Rise
    signal: Signal | None = None
    on: Rise | None = None
    off: Rise | None = None


@dataclass(frozen=True)
class Ablations:
    """`rows`, largest rise first, against the model's own `loss` in nats per character, over `characters` in `segments`
    segments. `within_step`: the units were held as soon as they were computed; otherwise between steps."""

    rows: tuple[Ablation, ...]
    loss: float
    characters: int
    segments: int
    within_step: bool


def ablate(
    predictor: Predictor,
    encoding: Encoding,
    tokens: Array,
    signals: Mapping[Unit, Signal],
    every: bool = False,
    report: Callable[[str], None] = lambda sentence: None,
) -> Ablations | None:
    """Hold one unit after the other at its mean over the text `tokens`: the units of `signals`, each with the signal
    that it detects, and with `every` all of them. None if there is no unit, or too little text."""
    found = groups(predictor)
    units = list(signals)
    if every:
        units += [one for n in range(count(found)) if (one := unit_at(found, n)) not in signals]
    if not units or len(tokens) < MIN_LENGTH:
        return None
    most = int(np.clip(READ // len(units), MIN_SEGMENTS * LENGTH, MOST))
    text = cut(encoding, tokens, most, LENGTH)
    report(
        f"holding {len(units):,} units, one at a time, at their means over {text.tokens.size:,} characters"
    )
    measured = _Measured(predictor, text)
    rows = [
        row
        for start in range(0, len(units), measured.copies)
        for row in measured.rows(units[start : start + measured.copies], signals)
    ]
    return Ablations(
        tuple(sorted(rows, key=lambda row: -row.all.nats)),
        measured.loss,
        measured.characters,
        text.tokens.shape[1],
        within_step(predictor) is not None,
    )


class _Measured:
    """The losses of a model on a text, and those of copies with a unit held."""

    def __init__(self, predictor: Predictor, text: Segments) -> None:
        self.predictor, self.text, self.groups = predictor, text, groups(predictor)
        self.means = record(predictor, text).astype(np.float32).mean(0)
        self.segments = text.tokens.shape[1]
        self.copies = max(1, ROWS // self.segments)
        places, numbers = text.counted
        self.pairs = np.flatnonzero(numbers[1:] == numbers[:-1])  # a character and its next, in one segment
        self.first, self.last = places[self.pairs], places[self.pairs + 1]
        self.stream = numbers[self.pairs]
        self.own = self._losses(Copies(predictor, [None], [0.0], self.segments))[0]
        self.characters = len(self.pairs)
        self.loss = float(self.own.mean())

    def _losses(self, copies: Copies) -> Array:
        """The nats of each next character, [copies, pairs]; of several tokens, their sum."""
        nats = copies.score(torch.from_numpy(self.text.tokens.copy())).double().numpy()
        sums = np.concatenate([np.zeros((1, *nats.shape[1:])), np.cumsum(nats, 0)])
        found: Array = sums[self.last, :, self.stream] - sums[self.first, :, self.stream]
        return found.T

    def rows(self, units: Sequence[Unit], signals: Mapping[Unit, Signal]) -> list[Ablation]:
        """The rises for units that are held in one batch."""
        values = [float(self.means[self._column(unit)]) for unit in units]
        rises = self._losses(Copies(self.predictor, units, values, self.segments)) - self.own
        return [
            self._row(unit, held_at, rise, signals.get(unit))
            for unit, held_at, rise in zip(units, values, rises, strict=True)
        ]

    def _row(self, unit: Unit, held_at: float, rise: Array, signal: Signal | None) -> Ablation:
        every = np.ones(len(rise), bool)
        overall = self._rise(rise, every)
        if signal is None or signal.graded:
            return Ablation(unit, held_at, overall, signal)
        on = self.text.signals[self.pairs, SIGNALS.index(signal)] > 0
        return Ablation(unit, held_at, overall, signal, self._rise(rise, on), self._rise(rise, ~on))

    def _rise(self, rise: Array, chosen: Array) -> Rise:
        """The mean over the chosen characters, and its standard error: of a ratio of sums over the segments, which are
        far enough apart to be independent."""
        sums = np.bincount(self.stream[chosen], rise[chosen], self.segments)
        counts = np.bincount(self.stream[chosen], minlength=self.segments)
        total = int(counts.sum())
        mean = float(sums.sum() / total) if total else float("nan")
        many = int((counts > 0).sum())
        spread = float(np.sqrt(((sums - mean * counts) ** 2).sum()))
        error = np.sqrt(many / (many - 1)) * spread / total if many > 1 else float("nan")
        return Rise(mean, float(error), total)

    def _column(self, unit: Unit) -> int:
        group = next(g for g in self.groups if (g.tensor, g.layer) == (unit.tensor, unit.layer))
        return group.first + unit.number
