"""Activations as the page carries them: a byte each, unit after unit, in base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charpipe.inspection.units import Group

STEPS = 127
SATURATED = 2.65
"""Where a tanh is 0.99."""
ONE_SIDED = 0.95
"""The share of characters with one sign from which a unit counts as having but one."""


@dataclass(frozen=True)
class Packed:
    """`data` is base64 of int8 [units, pieces]: each unit's values, brought between -1 and 1, times 127.

    `shown[k]` says how those of group k were: left as they are (`value`) or `tanh`; but a unit whose place in
    `divisors` is not 0 was divided by that.
    """

    shown: tuple[str, ...]
    divisors: tuple[float, ...]
    data: str


def pack(units: NDArray[np.float32], groups: Sequence[Group]) -> Packed:
    """Put the units of a reading, [pieces, units], into a string.

    Values that all lie between -1 and 1 stay as they are. Others become their tanh, as the essay shows an LSTM's
    pieces; but a unit whose tanh would stay at one of its limits, as a counter's does, is divided by its 99th
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
