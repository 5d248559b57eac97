"""A curve as one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The curve of finite values in at most `width` columns, the highest value at the top; a column is the mean of its
    share of the values."""
    known = [value for value in values if math.isfinite(value)]
    count = min(width, len(known))
    if count < 1:
        return ""
    edges = [round(place * len(known) / count) for place in range(count + 1)]
    means = [sum(known[start:end]) / (end - start) for start, end in pairwise(edges)]
    low, high = min(means), max(means)
    span = high - low or 1.0
    return "".join(BLOCKS[round((value - low) / span * (len(BLOCKS) - 1))] for value in means)
