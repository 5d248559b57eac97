"""Find the passages of a corpus in which the units of a pattern are on for as long as in the pattern's passage.

The tokens are read once, in many segments at a time, each with a run-up. Of each position only four counts are kept,
so that memory depends neither on the length of the corpus nor on the number of units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.inspection.patterns import Levels, Pattern
from charpipe.inspection.segments import RUN_UP
from charpipe.inspection.units import read_state
from charpipe.models import Predictor

SEGMENT = 2048
"""Positions of a segment at which a passage may begin."""
STREAMS = 128
"""Segments read at a time."""
LIMIT = 2_000_000
"""Tokens that are read unless all are wanted."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Found:
    """A passage that begins at token `place` of a split: `through`, how many of the units are on throughout; `score`,
    the share of (unit, token) pairs that are on or off as in the pattern's passage, one token before and after it
    included."""

    split: str
    place: int
    through: int
    score: float

    @property
    def rank(self) -> float:
        """More units on throughout first, then the higher score."""
        return self.through + 0.999 * self.score


def find(
    predictor: Predictor,
    splits: Mapping[str, Array],
    pattern: Pattern,
    levels: Levels,
    many: int,
    limit: int | None = LIMIT,
    itself: tuple[str, int] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Found], int]:
    """The best `many` passages that do not overlap, best first, and the number of tokens searched: all, or above
    `limit` evenly spaced segments. `itself` is the split and place of the pattern's own passage, which is left out."""
    plan = [(name, _starts(tokens, _share(splits, limit))) for name, tokens in splits.items()]
    total, done = sum(len(starts) for _, starts in plan), 0
    own = [] if itself is None else [Found(*itself, len(pattern.columns), 1.0)]
    best: list[Found] = []
    for name, starts in plan:
        for first in range(0, len(starts), STREAMS):
            batch = starts[first : first + STREAMS]
            new = _candidates(predictor, name, splits[name], batch, pattern, levels, 4 * many)
            best = _apart([*own, *sorted([*best, *new], key=lambda one: -one.rank)], pattern.length)[
                len(own) :
            ]
            best, done = best[:many], done + len(batch)
            progress(done, total)
    searched = sum(
        int(np.minimum(starts + SEGMENT, len(splits[name])).sum() - starts.sum()) for name, starts in plan
    )
    return best, searched


def _share(splits: Mapping[str, Array], limit: int | None) -> float:
    tokens = sum(len(one) for one in splits.values())
    return 1.0 if limit is None or tokens <= limit else limit / tokens


def _starts(tokens: Array, share: float) -> Array:
    """The segments of a split, or evenly spaced ones."""
    every = np.arange(0, max(0, len(tokens)), SEGMENT)
    if share == 1 or not len(every):
        return every
    chosen = np.linspace(0, len(every) - 1, max(1, round(share * len(every)))).round().astype(np.int64)
    return every[np.unique(chosen)]


def _apart(found: list[Found], length: int) -> list[Found]:
    """Without those that overlap with an earlier one."""
    kept: list[Found] = []
    for one in found:
        if all(one.split != other.split or abs(one.place - other.place) >= length for other in kept):
            kept.append(one)
    return kept


def _candidates(
    predictor: Predictor,
    name: str,
    tokens: Array,
    starts: Array,
    pattern: Pattern,
    levels: Levels,
    many: int,
) -> Iterator[Found]:
    """Good passages of some segments, several of which may overlap."""
    begins = np.maximum(starts - RUN_UP, 0)
    counts = _count(predictor, tokens, begins, pattern, levels)
    length, units = pattern.length, len(pattern.columns)
    steps = len(counts.on)
    sums = np.concatenate([np.zeros((1, len(starts)), np.int64), np.cumsum(counts.on, 0)])
    first = np.arange(
        1, steps - length
    )  # where a passage may begin: one token stands before and one after it
    score = sums[first + length] - sums[first] + counts.before[first - 1] + counts.after[first + length]
    scores = score / (units * (length + 2))
    through = counts.through[first + length - 1]
    place = begins + first[:, None]
    within = (place >= starts) & (place < starts + SEGMENT) & (place + length < len(tokens)) & (through > 0)
    ranks = np.where(within, through + 0.999 * scores, -1.0)
    for row, column in _peaks(ranks, length, many):
        yield Found(name, int(place[row, column]), int(through[row, column]), float(scores[row, column]))


def _peaks(ranks: Array, length: int, many: int) -> list[tuple[int, int]]:
    """The places of the `many` highest ranks, of each `length` successive ones only the highest."""
    if not len(ranks):
        return []
    blocks = -(-len(ranks) // length)
    padded: Array = np.full((blocks * length, ranks.shape[1]), -1.0)
    padded[: len(ranks)] = ranks
    padded = padded.reshape(blocks, length, -1)
    rows, highest = padded.argmax(1) + length * np.arange(blocks)[:, None], padded.max(1)
    order = np.argsort(-highest, axis=None, kind="stable")[:many]
    found = [divmod(int(one), ranks.shape[1]) for one in order]
    return [(int(rows[block, column]), column) for block, column in found if highest[block, column] > 0]


@dataclass(frozen=True)
class _Counts:
    """Numbers of units at each token, [T, B]: `on`; on for as long as the pattern, up to this token (`through`); on or
    off as the pattern says for the token `before` and `after` it."""

    on: Array
    through: Array
    before: Array
    after: Array


def _count(predictor: Predictor, tokens: Array, begins: Array, pattern: Pattern, levels: Levels) -> _Counts:
    steps = min(RUN_UP + SEGMENT + pattern.length + 1, len(tokens))
    columns, signs = np.array(pattern.columns), np.array(pattern.signs, np.int8)
    before, after = np.array(pattern.before), np.array(pattern.after)
    levels, state = levels.of(columns), predictor.initial_state(len(begins))
    runs = np.zeros((len(begins), len(columns)), np.int64)
    counts = np.zeros((4, steps, len(begins)), np.int32)
    for step in range(steps):
        ids = np.asarray(tokens[np.minimum(begins + step, len(tokens) - 1)]).astype(np.int64)
        _, state = predictor.step(torch.from_numpy(ids), state)
        on = levels.directions(read_state(state)[:, columns]) == signs
        runs = (runs + 1) * on
        kinds = (on, runs >= pattern.length, on == before, on == after)
        counts[:, step] = [kind.sum(1) for kind in kinds]
    return _Counts(*counts)
