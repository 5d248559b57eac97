"""Activations as the page carries them: a byte each, unit after unit, in base64."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from charpipe.evaluation.inspection.units import Group

STEPS = 127


@dataclass(frozen=True)
class Packed:
    """`shown[k]` says how the values of group k were brought between -1 and 1; `data` is base64 of int8
    [units, cells], the value times 127."""

    shown: tuple[str, ...]
    data: str


def pack(units: NDArray[np.float32], groups: Sequence[Group]) -> Packed:
    """Put the units of a reading, [cells, units], into a string.

    Values that all lie between -1 and 1 stay as they are, others become their tanh, as the essay shows an LSTM's
    cells; those of a group whose tanh would be 1 almost everywhere are divided by their 99th percentile.
    """
    packed = np.zeros(units.shape[::-1], np.int8)
    shown = []
    for group in groups:
        columns = slice(group.first, group.first + group.size)
        values, how = _bounded(np.nan_to_num(units[:, columns]))
        packed[columns] = np.round(np.clip(values, -1, 1) * STEPS).astype(np.int8).T
        shown.append(how)
    return Packed(tuple(shown), base64.b64encode(packed.tobytes()).decode("ascii"))


def _bounded(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], str]:
    sizes = np.abs(values)
    if sizes.max(initial=0) <= 1:
        return values, "value"
    if np.median(sizes) <= 3:
        return np.tanh(values), "tanh"
    scale = float(np.percentile(sizes, 99))
    return values / np.float32(scale), f"value / {scale:.3g}"
