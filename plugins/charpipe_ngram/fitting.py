"""Counts n-grams of all orders by sorting, from the longest down, into the tables of a predictor.

A Kneser-Ney count below the highest order is not how often an n-gram occurred but after how many different
characters: that is how many n-grams one character longer it is the end of.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from charpipe.plugin import Event, Notice, StageProgress
from charpipe_ngram import NgramConfig
from charpipe_ngram.model import NgramPredictor
from charpipe_ngram.ordering import Order, order_places
from charpipe_ngram.smoothing import discounts, sums_of, weights
from charpipe_ngram.tables import Tables, index_type, read_tables, token_type
from charpipe_ngram.tuning import held_out, tune

Array = NDArray[Any]
Weighed = tuple[Array, Array, float]
Weigh = Callable[[int, Array, Array, int], Weighed]
"""Of a context length: counts, their nodes and how many nodes there are -> weights, backoffs, the discount of a one."""


@dataclass(frozen=True)
class Level:
    """The nodes of contexts of one length, in their order, and their entries."""

    token: Array
    place: Array
    backoff: Array
    children: Array
    entries: Array
    entry_token: Array
    entry_weight: Array
    discount: float


def fit(
    config: NgramConfig, vocabulary_size: int, tokens: NDArray[Any]
) -> Generator[Event, None, NgramPredictor]:
    """Count; a generator of events that returns the predictor. Memory: see `max_tokens`."""
    if len(tokens) > config.max_tokens:
        yield Notice(
            f"the n-grams are those of the last {config.max_tokens:,} of {len(tokens):,} training tokens; count more "
            "with --set architectures.ngram.max_tokens=N, at about 100 bytes of memory each",
            "warning",
        )
    text = np.array(tokens[-config.max_tokens :], token_type(vocabulary_size))
    taken: Array | None = None if config.smoothing == "kneser-ney" else np.zeros((config.order, 4))
    if config.smoothing == "kneser-ney" and config.discounts == "tuned" and (last := held_out(len(text))):
        taken = yield from _tuned(text, last, config.order, vocabulary_size)
    levels = yield from _told(_levels(text, config, vocabulary_size, _weigher(taken)), config.order)
    return NgramPredictor(_assemble(levels, text), vocabulary_size)


def _tuned(text: Array, last: int, order: int, size: int) -> Generator[Event, None, Array]:
    """The discounts that predict the last of the text best from the counts of what is before."""
    config = NgramConfig(order=order)
    start = np.zeros((order, 4))

    def weigh(length: int, counts: Array, nodes: Array, number: int) -> Weighed:
        start[length] = discounts(counts)
        return counts.astype(np.float32), sums_of(counts, nodes, number), 0.0

    levels = yield from _told(_levels(text[:-last], config, size, weigh), order)
    sums = np.concatenate([level.backoff for level in levels])
    yield StageProgress("train", order, order, "orders")
    return tune(_assemble(levels, text[:-last]), sums, start, text[len(text) - last - order + 1 :], size)


def _weigher(taken: Array | None) -> Weigh:
    """Weights by the discounts [order, 4], or by estimates where there are none."""

    def weigh(length: int, counts: Array, nodes: Array, number: int) -> Weighed:
        discount = discounts(counts) if taken is None else taken[length]
        return *weights(counts, nodes, number, discount), float(discount[1])

    return weigh


def _told(counting: Iterator[Level], order: int) -> Generator[Event, None, list[Level]]:
    """The levels, the root's first, and an event after each."""
    levels: list[Level] = []
    yield StageProgress("train", 0, order, "orders")
    for level in counting:
        levels.append(level)
        yield StageProgress("train", len(levels), order, "orders")
    return levels[::-1]


def restore(config: NgramConfig, vocabulary_size: int, tensors: dict[str, Tensor]) -> NgramPredictor:
    """The predictor that was saved. Raises ValueError where the tensors are not such a one's."""
    return NgramPredictor(read_tables(tensors, config.order, vocabulary_size), vocabulary_size)


def _levels(text: Array, config: NgramConfig, size: int, weigh: Weigh) -> Iterator[Level]:
    """From the longest contexts to none."""
    order = order_places(text, config.order - 1, size)
    smooth, count = config.smoothing == "kneser-ney", len(text)
    longest = config.order - 1
    keys: Array = np.empty(0, np.int64)
    starts = order.starts(longest)
    to_parent = np.empty(0, np.int64)  # of each segment one character longer, the segment that it is in
    children: Array = np.empty(0, np.int64)
    for length in range(longest, -1, -1):
        if length == longest or not smooth:
            segments = np.cumsum(order.shared < length) - 1 if length else np.zeros(count, np.int64)
            keys = segments * size + text[order.places]
        else:
            keys = to_parent[keys // size] * size + keys % size
        keys, counts = _counted(keys)
        occurrences = np.diff(starts, append=count)
        above = order.starts(length - 1) if length > 1 else np.zeros(1, np.int64)
        to_parent = np.searchsorted(above, starts, "right") - 1
        kept = np.ones(len(starts), bool)
        if length:
            often = np.diff(above, append=count) > 1
            kept = often[to_parent] & (order.places[starts] >= length)
        yield _level(order, text, size, length, (keys, counts), starts, occurrences, kept, children, weigh)
        children = np.bincount(to_parent[kept], minlength=len(above))
        starts = above


def _level(
    order: Order,
    text: Array,
    size: int,
    length: int,
    counted: tuple[Array, Array],
    starts: Array,
    occurrences: Array,
    kept: Array,
    children: Array,
    weigh: Weigh,
) -> Level:
    keys, counts = counted
    segments = keys // size
    weight, backoff, discount = weigh(length, counts, segments, len(starts))
    places = order.places[starts][kept]
    in_kept = kept[segments]
    return Level(
        token=text[places - length] if length else np.zeros(1, text.dtype),
        place=np.where(occurrences[kept] == 1, places, -1).astype(index_type(len(text))),
        backoff=backoff[kept],
        children=children[kept] if len(children) else np.zeros(int(kept.sum()), np.int64),
        entries=np.bincount(segments, minlength=len(starts))[kept],
        entry_token=(keys[in_kept] % size).astype(text.dtype),
        entry_weight=weight[in_kept],
        discount=discount,
    )


def _counted(keys: Array) -> tuple[Array, Array]:
    """The different keys in their order, and how often each occurs."""
    keys = np.sort(keys)
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[first], np.diff(first, append=len(keys))


def _assemble(levels: list[Level], text: Array) -> Tables:
    """The tables of all levels, the root's first."""

    def joined(name: str) -> Array:
        return np.concatenate([getattr(level, name) for level in levels])

    def summed(name: str, first: int) -> Array:
        ends = first + np.cumsum(np.concatenate([[0], joined(name)]))
        return ends.astype(index_type(int(ends[-1])))

    entry_token, token = joined("entry_token"), joined("token")
    return Tables(
        child_start=summed("children", 1),
        child_token=token,
        entry_start=summed("entries", 0),
        entry_token=entry_token,
        entry_weight=joined("entry_weight"),
        backoff=joined("backoff"),
        place=joined("place"),
        text=text,
        discount=np.array([level.discount for level in levels], np.float32),
        sizes=np.array([len(token), len(entry_token), len(text)], np.int64),
    )
