"""Decoders as functions of the scores (unnormalised log probabilities, float64 [..., V]).

Scores that tie with the last one kept are kept too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from charpipe.plugin import Options, UsageError
from charpipe_decoding import MinP, Nucleus, Temperature, TopK

Scores = NDArray[np.float64]
Choose = Callable[[Scores], Scores]
TINY = 1e-3
"""Temperatures up to which scores are made safe before they are divided; it takes longer than all else here."""


def greedy(config: Options, vocabulary_size: int) -> Choose:
    """Only the likeliest; of equals the first."""

    def choose(scores: Scores) -> Scores:
        kept = np.full_like(scores, -np.inf)
        best = scores.argmax(-1)[..., None]
        np.put_along_axis(kept, best, np.take_along_axis(scores, best, -1), -1)
        return kept

    return choose


def temperature(config: Temperature, vocabulary_size: int) -> Choose:
    """softmax(scores / temperature). Before a tiny one divides, the greatest is subtracted: nothing overflows then."""
    divisor = config.temperature

    def choose(scores: Scores) -> Scores:
        divided: Scores = scores / divisor
        return divided

    def choose_tiny(scores: Scores) -> Scores:
        divided: Scores = (scores - scores.max(-1, keepdims=True)) / divisor
        return divided

    return choose if divisor > TINY else choose_tiny


def top_k(config: TopK, vocabulary_size: int) -> Choose:
    """The k likeliest (Fan, Lewis, Dauphin 2018)."""
    if config.k > vocabulary_size:
        raise UsageError(
            f"top-k is {config.k}, but the vocabulary has {vocabulary_size} tokens; give at most {vocabulary_size}"
        )

    def choose(scores: Scores) -> Scores:
        return _at_least(scores, np.partition(scores, -config.k, -1)[..., -config.k, None])

    return choose


def nucleus(config: Nucleus, vocabulary_size: int) -> Choose:
    """The fewest of the likeliest whose probability is p or more (Holtzman and others 2020)."""

    def choose(scores: Scores) -> Scores:
        falling = -np.sort(-scores, -1)
        reached = np.exp(falling - falling[..., :1]).cumsum(-1)
        short = (reached < config.p * reached[..., -1:]).sum(-1, keepdims=True)
        return _at_least(scores, np.take_along_axis(falling, short, -1))

    return choose


def min_p(config: MinP, vocabulary_size: int) -> Choose:
    """What is at least p times as likely as the likeliest (Nguyen and others 2024)."""
    lowest = math.log(config.p) if config.p else -math.inf

    def choose(scores: Scores) -> Scores:
        return _at_least(scores, scores.max(-1, keepdims=True) + lowest)

    return choose


def _at_least(scores: Scores, threshold: Scores) -> Scores:
    return np.where(scores >= threshold, scores, -np.inf)
