"""Decoders narrow the scores as their papers say, for one text and for many, and alone or after each other."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from charpipe.errors import UsageError
from charpipe.plugin import resolve
from charpipe_decoding import charpipe_decoders

DECODERS = {decoder.name: decoder for decoder in charpipe_decoders()}
PROBABILITIES = np.array([0.1, 0.4, 0.05, 0.3, 0.15])
SCORES = np.log(PROBABILITIES) + 3


def kept(name: str, scores: np.ndarray = SCORES, **options: float) -> list[int]:
    decoder = DECODERS[name]
    choose = resolve(decoder.choose)(decoder.config(**options), scores.shape[-1])
    before = scores.copy()
    after = choose(scores)
    np.testing.assert_array_equal(scores, before)
    both = choose(np.stack([scores, scores[::-1]]))
    np.testing.assert_array_equal(both[0], after)
    np.testing.assert_array_equal(np.sort(both[1]), np.sort(after))
    return np.flatnonzero(after > -np.inf).tolist()


@pytest.mark.parametrize(("k", "left"), [(1, [1]), (2, [1, 3]), (3, [1, 3, 4]), (5, [0, 1, 2, 3, 4])])
def test_top_k(k: int, left: list[int]) -> None:
    assert kept("top-k", k=k) == left


@pytest.mark.parametrize(
    ("p", "left"), [(0.01, [1]), (0.39, [1]), (0.41, [1, 3]), (0.8, [1, 3, 4]), (1, [0, 1, 2, 3, 4])]
)
def test_nucleus(p: float, left: list[int]) -> None:
    assert kept("nucleus", p=p) == left


@pytest.mark.parametrize(("p", "left"), [(0, [0, 1, 2, 3, 4]), (0.2, [0, 1, 3, 4]), (0.7, [1, 3]), (1, [1])])
def test_min_p(p: float, left: list[int]) -> None:
    assert kept("min-p", p=p) == left


def test_greedy_takes_the_first_of_equals() -> None:
    assert kept("greedy") == [1]
    assert kept("greedy", np.zeros(4)) == [0]


@pytest.mark.parametrize("temperature", [1e-300, 0.5, 3.0])
def test_temperature(temperature: float) -> None:
    decoder = DECODERS["temperature"]
    with np.errstate(over="ignore"):
        scores = resolve(decoder.choose)(decoder.config(temperature=temperature), 5)(SCORES)
    weights = (PROBABILITIES / PROBABILITIES.max()) ** (1 / temperature)
    np.testing.assert_allclose(np.exp(scores - scores.max()), weights)


def test_what_was_left_out_stays_out() -> None:
    narrowed = np.where(PROBABILITIES > 0.12, SCORES, -np.inf)
    for name, options in {"nucleus": {"p": 1}, "top-k": {"k": 5}, "min-p": {"p": 0}}.items():
        assert kept(name, narrowed, **options) == [1, 3, 4]


def test_settings_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="top-k is 6, but the vocabulary has 5 tokens"):
        kept("top-k", k=6)
    for name, options in [("top-k", {"k": 0}), ("nucleus", {"p": 0}), ("min-p", {"p": 1.1})]:
        with pytest.raises(ValidationError):
            DECODERS[name].config(**options)
    for value in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            DECODERS["temperature"].config(temperature=value)
