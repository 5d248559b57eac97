"""Decoders as formulas over scores (unnormalised log probabilities, float64 [..., V]).

Each formula stands once: numpy runs it, and the sampling loop compiles it. Scores that tie with the last one kept are
kept too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from charpipe.kernels.rows import (
    RowFormula,
    keep_at_least,
    keep_first_max,
    kth_largest,
    row_count,
    row_cumsum,
    row_item,
    row_max,
    sorted_descending,
)
from charpipe.plugin import Options, UsageError
from charpipe_decoding import MinP, Nucleus, Temperature, TopK

TINY = 1e-3
"""Up to this temperature scores / temperature may overflow."""

# --- formulas: function(scores, number) -> scores ---


def likeliest(scores: Any, _: float) -> Any:
    """Only the likeliest; of equals the first."""
    return keep_first_max(scores)


def divided(scores: Any, temperature: float) -> Any:
    """softmax(scores / temperature)."""
    return scores / temperature


def shifted_and_divided(scores: Any, temperature: float) -> Any:
    """The same of a tiny temperature: without the maximum, which softmax ignores, nothing overflows. It takes longer
    than all else here."""
    return (scores - row_max(scores)) / temperature


def k_likeliest(scores: Any, k: float) -> Any:
    """The k likeliest (Fan, Lewis, Dauphin 2018)."""
    return keep_at_least(scores, kth_largest(scores, int(k)))


def smallest_nucleus(scores: Any, p: float) -> Any:
    """The fewest of the likeliest whose probability is p or more (Holtzman et al. 2020)."""
    descending = sorted_descending(scores)
    cumulative = row_cumsum(np.exp(descending - row_item(descending, 0)))
    below = row_count(cumulative < p * row_item(cumulative, -1))
    return keep_at_least(scores, row_item(descending, below))


def above_log_ratio(scores: Any, log_p: float) -> Any:
    """What is at least p times as likely as the likeliest (Nguyen et al. 2024)."""
    return keep_at_least(scores, row_max(scores) + log_p)


# --- what the specs name: (config, vocabulary size) -> formula with its number ---


def greedy(config: Options, vocabulary_size: int) -> RowFormula:
    """`likeliest`."""
    return RowFormula(likeliest)


def temperature(config: Temperature, vocabulary_size: int) -> RowFormula:
    """`divided`, or for a tiny temperature the form that does not overflow."""
    tiny = config.temperature <= TINY
    return RowFormula(shifted_and_divided if tiny else divided, config.temperature)


def top_k(config: TopK, vocabulary_size: int) -> RowFormula:
    """`k_likeliest`. Raises UsageError where k exceeds the vocabulary."""
    if config.k > vocabulary_size:
        raise UsageError(
            f"top-k is {config.k}, but the vocabulary has {vocabulary_size} tokens; give at most {vocabulary_size}"
        )
    return RowFormula(k_likeliest, config.k)


def nucleus(config: Nucleus, vocabulary_size: int) -> RowFormula:
    """`smallest_nucleus`."""
    return RowFormula(smallest_nucleus, config.p)


def min_p(config: MinP, vocabulary_size: int) -> RowFormula:
    """`above_log_ratio`."""
    return RowFormula(above_log_ratio, math.log(config.p) if config.p else -math.inf)
