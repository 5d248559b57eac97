"""Which stretches of a split are scored, so that many can be read side by side and the time stays bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUN_UP = 256
"""Tokens read before a span, unscored, so that its first token too is predicted from carried state."""
SHORTEST = 8 * RUN_UP
MOST = 1024


@dataclass(frozen=True)
class Spans:
    """`starts[k]` is the last token before span k's first scored one; each scores up to `length` tokens, none
    beyond `end`, the index of the split's last token. `whole`: together they are all but the first token."""

    starts: NDArray[np.int64]
    length: int
    end: int
    whole: bool

    @property
    def counts(self) -> NDArray[np.int64]:
        """Tokens that each span scores."""
        return np.minimum(self.starts + self.length, self.end) - self.starts


def choose_spans(tokens: int, limit: int | None) -> Spans:
    """Spans over a split of `tokens` tokens: side by side over all of it, or, where that is more than `limit`
    tokens, evenly spaced from its beginning to its end. A function of its arguments alone."""
    end = tokens - 1
    whole = limit is None or end <= limit
    scored = end if limit is None else min(end, limit)
    count = max(1, min(MOST, scored // SHORTEST))
    if whole:
        length = -(-end // count)
        starts = np.arange(0, end, length, dtype=np.int64)
    else:
        length = scored // count
        starts = np.linspace(0, end - length, count).round().astype(np.int64)
    return Spans(starts, length, end, whole)
