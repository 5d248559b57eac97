"""Which units are on throughout a passage, after Strobelt et al. 2018 (LSTMVis, arXiv 1606.07461).

LSTMVis calls a unit on where its value is above a threshold. Here it is on where it is far from its usual value, in
either direction: beyond a share `threshold` of the way from its median to its largest value ("rises") or to its
smallest ("falls"), over the text that was read. So a unit that is always large is not on everywhere, and one that falls
for a signal counts too. The page's script computes the same from the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.errors import UsageError
from charpipe.inspection.packing import Scaling

THRESHOLD = 0.5
Array = NDArray[Any]


@dataclass(frozen=True)
class Levels:
    """The scaled units' usual values: their `median`, `low` and `high` [units] in the text that was read."""

    scaling: Scaling
    median: Array
    low: Array
    high: Array
    threshold: float

    def of(self, columns: Array) -> Levels:
        """Those of some of the units."""
        parts = (self.median[columns], self.low[columns], self.high[columns])
        return Levels(self.scaling.of(columns), *parts, self.threshold)

    def directions(self, units: Array) -> Array:
        """1 where a unit of [..., units] is on because it rises, -1 where it falls, 0 where it is off: int8."""
        away = self.scaling.packed(units).astype(np.int16) - self.median
        rises = away >= self.threshold * np.maximum(1, self.high - self.median)
        falls = -away >= self.threshold * np.maximum(1, self.median - self.low)
        found: Array = rises.astype(np.int8) - falls.astype(np.int8)
        return found


def levels(units: Array, scaling: Scaling, threshold: float = THRESHOLD) -> Levels:
    """The levels of a reading's units, [pieces, units]. Raises UsageError for a threshold that is not above 0 and at
    most 1."""
    if not 0 < threshold <= 1:
        raise UsageError(f"the threshold {threshold:g} is not above 0 and at most 1")
    packed = np.sort(scaling.packed(units), 0).astype(np.int16)
    return Levels(scaling, packed[len(packed) // 2], packed[0], packed[-1], threshold)


@dataclass(frozen=True)
class Pattern:
    """Units, by their columns, that are on throughout `length` tokens in the direction of `signs` (1 rises, -1 falls);
    `before` and `after` say whether each is on one token before and after."""

    columns: tuple[int, ...]
    signs: tuple[int, ...]
    length: int
    before: tuple[bool, ...]
    after: tuple[bool, ...]


def pattern_of(
    directions: Array, first: int, last: int, length: int, chosen: Sequence[int] = ()
) -> Pattern | None:
    """The pattern of the passage from piece `first` to piece `last`, `length` tokens long, from the `directions`
    [pieces, units] of the text: of all units that are on throughout, or of those of them in `chosen`. None if there are
    none."""
    inside = directions[first : last + 1]
    through = (inside == inside[0]).all(0) & (inside[0] != 0)
    columns = [column for column in (chosen or range(len(through))) if through[column]]
    if not columns:
        return None
    signs = inside[0][columns]

    def on(piece: int) -> tuple[bool, ...]:
        within = 0 <= piece < len(directions)
        return tuple((directions[piece][columns] == signs).tolist() if within else [False] * len(columns))

    return Pattern(tuple(columns), tuple(signs.tolist()), length, on(first - 1), on(last + 1))
