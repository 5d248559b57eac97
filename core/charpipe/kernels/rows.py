"""Formulas of decoders: written once over rows of scores, run by numpy on [..., V], and compiled for the sampling loop.

A formula is made of numpy's element-wise operations and of the functions here, which work along the last axis. The
sampling loop compiles the same function for a single row: `step/decoders.py` has each function's implementation there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
"""Unnormalised log probabilities [..., V]. Minus infinity is never drawn."""


@dataclass(frozen=True)
class RowFormula:
    """A decoder as `function(scores, number) -> scores`: the function does not change its argument, and is made of
    element-wise operations and of the functions of this module. Where all decoders are RowFormulas, a long text is
    sampled by a compiled loop."""

    function: Callable[[Any, float], Any]
    number: float = 0.0

    def __call__(self, scores: Scores) -> Scores:
        found: Scores = self.function(scores, self.number)
        return found


def row_max(scores: Scores) -> Scores:
    """The largest score of each row."""
    return np.asarray(scores.max(-1, keepdims=True))


def kth_largest(scores: Scores, k: int) -> Scores:
    """The k-th largest score of each row."""
    return np.asarray(np.partition(scores, -k, -1)[..., -k, None])


def sorted_descending(scores: Scores) -> Scores:
    """Each row from its largest to its smallest score."""
    return np.asarray(-np.sort(-scores, -1))


def row_cumsum(values: Scores) -> Scores:
    """The running sum of each row."""
    return np.asarray(values.cumsum(-1))


def row_count(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How often the mask is true in each row."""
    return np.asarray(mask.sum(-1, keepdims=True))


def row_item(values: Scores, index: Any) -> Scores:
    """The value at an index of each row: a number, or what `row_count` returned."""
    if isinstance(index, int):
        return np.asarray(values[..., index, None])
    return np.asarray(np.take_along_axis(values, index, -1))


def keep_at_least(scores: Scores, threshold: Scores) -> Scores:
    """The scores from the threshold on; the others become minus infinity. NaN stays, so that it is noticed."""
    return np.where(scores < threshold, -np.inf, scores)


def keep_first_max(scores: Scores) -> Scores:
    """Only the largest score of each row, of equal ones the first."""
    kept = np.full_like(scores, -np.inf)
    best = scores.argmax(-1)[..., None]
    np.put_along_axis(kept, best, np.take_along_axis(scores, best, -1), -1)
    return kept
