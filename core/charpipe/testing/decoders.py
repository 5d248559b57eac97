"""The contract of decoders as rules, each checked on a few scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.plugin import Decoder, resolve
from charpipe.testing.example_options import example

VOCABULARY, ROWS = 11, 4
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class DecoderCase:
    """The function of a decoder, and scores float64 [B, V], in one row of which most are minus infinity."""

    choose: Callable[[Any], Any]
    scores: Scores


def choose(decoder: Decoder) -> DecoderCase:
    """Call `choose` with example settings."""
    assert decoder.choose is not None
    function = resolve(decoder.choose)(example(decoder.config), VOCABULARY)
    scores = np.random.default_rng(1).normal(size=(ROWS, VOCABULARY))
    scores[-1, 3:] = -np.inf
    return DecoderCase(function, scores)


def form(case: DecoderCase) -> str | None:
    """The scores keep their shape and their type, float64."""
    found = np.asarray(case.choose(case.scores.copy()))
    same = found.shape == case.scores.shape and found.dtype == case.scores.dtype
    return None if same else f"{found.dtype} {list(found.shape)} instead of float64 {list(case.scores.shape)}"


def argument_kept(case: DecoderCase) -> str | None:
    """The argument is not changed."""
    given = case.scores.copy()
    case.choose(given)
    return None if np.array_equal(given, case.scores) else "it was changed"


def drawable(case: DecoderCase) -> str | None:
    """No score is NaN, and in each row at least one is above minus infinity."""
    found = np.asarray(case.choose(case.scores.copy()))
    if np.isnan(found).any():
        return "a score is NaN"
    return None if (found > -np.inf).any(axis=-1).all() else "all scores of a row are minus infinity"


def rows_independent(case: DecoderCase) -> str | None:
    """A row has the same scores alone as beside other rows."""
    together = np.asarray(case.choose(case.scores.copy()))
    for row in range(ROWS):
        if not np.allclose(np.asarray(case.choose(case.scores[row].copy())), together[row]):
            return f"row {row} has other scores alone"
    return None


RULES = (form, argument_kept, drawable, rows_independent)
