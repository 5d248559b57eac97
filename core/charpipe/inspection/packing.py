"""Pack activations for the page: one byte each, unit after unit, in base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charpipe.inspection.units import Group

STEPS = 127
SATURATED = 2.65
"""The input at which tanh is 0.99."""
ONE_SIDED = 0.95
"""The share of characters with one sign above which a unit counts as one-sided."""


@dataclass(frozen=True)
class Packed:
    """`data` is base64 of int8 [units, pieces]: each unit's values, scaled to -1 to 1, times 127.

    `shown[k]` says how group k was scaled: not at all (`value`) or by `tanh`; a unit with a nonzero entry in
    `divisors` was divided by that instead.
    """

    shown: tuple[str, ...]
    divisors: tuple[float, ...]
    data: str


@dataclass(frozen=True)
class Scaling:
    """How each unit is scaled: divided by its entry of `divisors` [units] unless that is 0; otherwise by tanh, where
    `tanh` [units] says so; otherwise not at all."""

    tanh: NDArray[np.bool_]
    divisors: NDArray[np.float32]

    def packed(self, values: NDArray[np.float32]) -> NDArray[np.int8]:
        """Activations [..., units] scaled to -1 to 1, times 127."""
        values = np.nan_to_num(values)
        divided = values / np.where(self.divisors, self.divisors, 1)
        scaled = np.where(self.divisors, divided, np.where(self.tanh, np.tanh(values), values))
        found: NDArray[np.int8] = np.round(np.clip(scaled, -1, 1) * STEPS).astype(np.int8)
        return found

    def of(self, columns: NDArray[np.int64]) -> Scaling:
        """The scaling of some of the units."""
        return Scaling(self.tanh[columns], self.divisors[columns])


def scaling(units: NDArray[np.float32], groups: Sequence[Group]) -> Scaling:
    """The scaling of the units of a reading, [pieces, units].

    Values that all lie between -1 and 1 are not scaled. Others are replaced by their tanh, as the essay shows an
    LSTM's cells; but a unit whose tanh would stay at one of its limits, as a counter's does, is divided by its 99th
    percentile.
    """
    values = np.nan_to_num(units)
    tanh, divisors = np.zeros(units.shape[1], bool), np.zeros(units.shape[1], np.float32)
    for group in groups:
        columns = slice(group.first, group.first + group.size)
        sizes = np.abs(values[:, columns])
        if sizes.max(initial=0) > 1:
            tanh[columns] = True
            positive = (values[:, columns] > 0).mean(0)
            saturated = (np.median(sizes, 0) > SATURATED) & (np.maximum(positive, 1 - positive) > ONE_SIDED)
            divisors[columns] = np.where(saturated, np.percentile(sizes, 99, axis=0), 0)
    return Scaling(tanh, divisors)


def pack(units: NDArray[np.float32], groups: Sequence[Group]) -> Packed:
    """Pack the units of a reading, [pieces, units], into a string."""
    found = scaling(units, groups)
    shown = tuple("tanh" if found.tanh[group.first] else "value" for group in groups)
    data = base64.b64encode(np.ascontiguousarray(found.packed(units).T).tobytes()).decode("ascii")
    return Packed(shown, tuple(found.divisors.tolist()), data)
