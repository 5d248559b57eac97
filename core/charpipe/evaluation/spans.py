"""Choose the spans of a split that are scored, so that they can be read in one batch in bounded time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUN_UP = 256
"""Tokens read before a span without scoring, so that its first token is also predicted from a carried state."""
MIN_SPAN = 8 * RUN_UP
MAX_SPANS = 1024


@dataclass(frozen=True)
class Spans:
    """`starts[k]` is the last token before the first scored token of span k; each span scores up to `length` tokens,
    none beyond `end`, the index of the split's last token. `whole`: together the spans cover all tokens but the
    first."""

    starts: NDArray[np.int64]
    length: int
    end: int
    whole: bool

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of tokens that each span scores."""
        return np.minimum(self.starts + self.length, self.end) - self.starts


def choose_spans(tokens: int, limit: int | None) -> Spans:
    """Spans over a split of `tokens` tokens: contiguous over all of it, or, above `limit` tokens, evenly spaced from
    its beginning to its end. Depends on its arguments only."""
    end = tokens - 1
    whole = limit is None or end <= limit
    scored = end if limit is None else min(end, limit)
    count = max(1, min(MAX_SPANS, scored // MIN_SPAN))
    if whole:
        length = -(-end // count)
        starts = np.arange(0, end, length, dtype=np.int64)
    else:
        length = scored // count
        starts = np.linspace(0, end - length, count).round().astype(np.int64)
    return Spans(starts, length, end, whole)
