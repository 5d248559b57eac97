"""How well single units predict a signal, measured by ranks alone, independent of scale, threshold and saturation.

For a binary signal, the area under the ROC curve: the probability that the unit is higher at a character where the
signal is on than at one where it is off (Mann and Whitney's U over the number of pairs). For a graded signal,
Spearman's rank correlation. Both become one strength from -1 to 1: 2 AUC - 1, or the correlation itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 256
"""Units ranked at once."""
Array = NDArray[Any]


def strengths(units: Array, signals: Array, graded: Array) -> Array:
    """The strength of every unit for every signal, float32 [units, signals].

    `units` is float16 [characters, units], `signals` [characters, signals]. A constant unit or signal has strength 0.
    """
    weights = _weights(signals, graded)
    found = np.zeros((units.shape[1], signals.shape[1]), np.float32)
    for start in range(0, units.shape[1], BLOCK):
        ranks = centred_ranks(units[:, start : start + BLOCK])
        found[start : start + BLOCK] = ranks @ weights
        norms = np.maximum(np.linalg.norm(ranks, axis=1), 1e-9)
        found[start : start + BLOCK, graded] /= norms[:, None]
    return found


def _weights(signals: Array, graded: Array) -> Array:
    """The weight of each character's rank for each signal: the product of ranks and weights is the strength."""
    weights = np.zeros(signals.shape, np.float32)
    for column, values in enumerate(signals.T):
        on = float((values > 0).sum())
        if values.min(initial=0) == values.max(initial=0):
            continue
        if graded[column]:
            ranks = centred_ranks(values.astype(np.float16)[:, None])[0]
            weights[:, column] = ranks / max(float(np.linalg.norm(ranks)), 1e-9)
        else:
            weights[:, column] = 2 * ((values > 0) - on / len(values)) / (on * (len(values) - on))
    return weights


def centred_ranks(units: Array) -> Array:
    """The rank of each value within its unit, ties sharing their mean rank, minus the mean: float32 [units, n].

    The bits of a float16, corrected for the sign, sort in the order of its value, so ranks come from counting without
    a sort.
    """
    values = np.nan_to_num(np.ascontiguousarray(units.T, np.float16)) + np.float16(0)
    bits = values.view(np.uint16)
    keys = np.where(bits & 0x8000, ~bits, bits | 0x8000)
    found = np.empty(keys.shape, np.float32)
    for row, key in enumerate(keys):
        counts = np.bincount(key, minlength=1 << 16)
        below = np.cumsum(counts) - counts
        found[row] = (below + (counts - len(key)) / 2)[key]
    return found


def threshold(values: Array, on: Array) -> float:
    """The threshold of `values` that maximizes the hit rate minus the false alarm rate (Youden 1950): a character
    counts as on if its value is above it."""
    order = np.argsort(values, kind="stable")
    sorted_values, sorted_on = values[order].astype(np.float64), on[order] > 0
    # with a cut after place k, the places beyond k are above the threshold
    gained = np.cumsum(np.where(sorted_on, -1 / max(1, sorted_on.sum()), 1 / max(1, (~sorted_on).sum())))
    ends = np.append(sorted_values[1:] > sorted_values[:-1], True)
    return float(sorted_values[np.argmax(np.where(ends, gained, -np.inf))])
