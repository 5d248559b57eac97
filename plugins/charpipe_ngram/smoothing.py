"""How counts become probabilities: modified Kneser-Ney (Chen and Goodman 1999), interpolated, or none at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FALLBACK = 0.5
"""The discount where there are too few counts of one or two to estimate it: of single characters, say."""
LEAST = 0.05


def discounts(counts: NDArray[Any]) -> NDArray[np.float64]:
    """[4]: what is taken from a count of 0, 1, 2, and 3 or more, estimated from how often each count occurs."""
    seen = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].astype(np.float64)
    found = np.array([0.0, FALLBACK, FALLBACK, FALLBACK])
    if seen[0] and seen[1]:
        share = seen[0] / (seen[0] + 2 * seen[1])
        for count in (1, 2, 3):
            if seen[count - 1] and seen[count]:
                found[count] = count - (count + 1) * share * seen[count] / seen[count - 1]
            else:
                found[count] = found[count - 1] or share
    return np.array([0.0, *(np.clip(found[count], LEAST, count - LEAST) for count in (1, 2, 3))])


def weights(
    counts: NDArray[Any], nodes: NDArray[Any], size: int, taken: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The weight of each entry, whose node is `nodes` (sorted), and the backoff of each of `size` nodes: the share
    of its counts that was taken."""
    total = np.bincount(nodes, counts, size)
    discount = taken[np.minimum(counts, 3)]
    weight = (counts - discount) / total[nodes]
    return weight.astype(np.float32), (np.bincount(nodes, discount, size) / total).astype(np.float32)


def sums_of(counts: NDArray[Any], nodes: NDArray[Any], size: int) -> NDArray[np.float32]:
    """[size, 4]: each node's total, and how many of its entries are counted 1, 2, and 3 or more."""
    kinds = np.minimum(counts, 3)
    of_kind = [np.bincount(nodes, kinds == kind, size) for kind in (1, 2, 3)]
    return np.stack([np.bincount(nodes, counts, size), *of_kind], axis=1).astype(np.float32)
