"""Discounts that predict held-out text best: found by gradient on the last of the training text, never on validation.

The estimates of Chen and Goodman are made for words. Characters repeat themselves far more, and the discounts that fit
them are larger for long contexts and smaller for short ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charpipe_ngram.model import ContextSearch, find
from charpipe_ngram.tables import Tables

Array = NDArray[Any]
FEWEST = 20_000
"""Training tokens from which discounts are tuned."""
HELD_OUT, MOST = 0.05, 100_000
"""The share of the training tokens that discounts are tuned on, and how many of them at most."""
UPDATES, RATE = 30, 0.15
LIMITS = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


def held_out(count: int) -> int:
    """How many of `count` training tokens discounts are tuned on; 0 where there are too few."""
    return min(int(count * HELD_OUT), MOST) if count >= FEWEST else 0


@dataclass(frozen=True)
class ContextEvidence:
    """What contexts of one length say about the held-out characters: `queries` are the characters whose context was
    seen, `counts` theirs after it, `sums` [queries, 4] the context's total and its entries counted 1, 2, 3 or more;
    `single` and `right` are those whose context follows a leaf's text, and whether it went on as they did."""

    queries: Tensor
    counts: Tensor
    sums: Tensor
    single: Tensor
    right: Tensor


def tune(tables: Tables, sums: Array, start: Array, text: Array, vocabulary_size: int) -> Array:
    """Discounts [order, 4] of counts 0, 1, 2, and 3 or more. `tables` hold counts instead of weights and `sums`
    [nodes, 4] those of each node; `start` [order, 4] is where to begin; `text` goes on after the tables' own text,
    beginning with the order - 1 tokens before its first predicted one."""
    order = len(start)
    seen, count = _evidence(tables, sums, text, order - 1), len(text) - order + 1
    free = torch.logit((torch.from_numpy(start[:, 1:]) / LIMITS).clamp(0.01, 0.99)).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=RATE)
    for _ in range(UPDATES):
        optimizer.zero_grad()
        _loss(torch.sigmoid(free) * LIMITS, seen, count, vocabulary_size).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    found = (torch.sigmoid(free) * LIMITS).detach().numpy()
    return np.concatenate([np.zeros((order, 1)), found], axis=1)


def _evidence(tables: Tables, sums: Array, text: Array, length: int) -> list[ContextEvidence]:
    targets = text[length:].astype(np.int64)
    search, seen = ContextSearch(tables, len(targets)), []
    for back in range(length + 1):
        if back:
            search.extend(text[length - back :][: len(targets)].astype(np.int64), back)
        found = find(tables.entry_token, tables.entry_start, search.nodes, targets[search.queries])
        counts = np.where(found < 0, 0, tables.entry_weight[found])
        single, expected, _ = search.single
        right = (expected == targets[single]).astype(np.float64)
        parts = (
            search.queries,
            counts.astype(np.int64),
            sums[search.nodes].astype(np.float64),
            single,
            right,
        )
        seen.append(ContextEvidence(*map(torch.from_numpy, parts)))
        search.leave_tree()
    return seen


def _loss(discounts: Tensor, seen: list[ContextEvidence], count: int, vocabulary_size: int) -> Tensor:
    """Nats per held-out character, as the predictor would have them."""
    probabilities = torch.full((count,), 1 / vocabulary_size, dtype=torch.float64)
    for taken, level in zip(discounts, seen, strict=True):
        single = taken[0] * probabilities[level.single] + (1 - taken[0]) * level.right
        discount = torch.cat([taken.new_zeros(1), taken])[level.counts.clamp(max=3)]
        total = level.sums[:, 0]
        node = (level.counts - discount + (level.sums[:, 1:] @ taken) * probabilities[level.queries]) / total
        probabilities = probabilities.index_put((level.single,), single).index_put((level.queries,), node)
    return -probabilities.log().mean()
