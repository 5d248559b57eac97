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


def pack(units: NDArray[np.float32], groups: Sequence[Group]) -> Packed:
    """Pack the units of a reading, [pieces, units], into a string.

    Values that all lie between -1 and 1 are not scaled. Others are replaced by their tanh, as the essay shows an
    LSTM's cells; but a unit whose tanh would stay at one of its limits, as a counter's does, is divided by its 99th
    percentile.
    """
    values = np.nan_to_num(units)
    shown, divisors = [], np.zeros(units.shape[1], np.float32)
    for group in groups:
        columns = slice(group.first, group.first + group.size)
        sizes = np.abs(values[:, columns])
        bounded = bool(sizes.max(initial=0) <= 1)
        shown.append("value" if bounded else "tanh")
        if not bounded:
            positive = (values[:, columns] > 0).mean(0)
            saturated = (np.median(sizes, 0) > SATURATED) & (np.maximum(positive, 1 - positive) > ONE_SIDED)
            divisors[columns] = np.where(saturated, np.percentile(sizes, 99, axis=0), 0)
            divided = values[:, columns] / np.where(saturated, divisors[columns], 1)
            values[:, columns] = np.where(saturated, divided, np.tanh(values[:, columns]))
    packed = np.round(np.clip(values, -1, 1) * STEPS).astype(np.int8)
    data = base64.b64encode(np.ascontiguousarray(packed.T).tobytes()).decode("ascii")
    return Packed(tuple(shown), tuple(divisors.tolist()), data)
