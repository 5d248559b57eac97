"""When a loss is worse than guessing, and what is advised."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.runs.uniform_baseline import MARGIN, guessing_loss, is_worse_than_guessing, warning

RATE = {"train.learning_rate": 100.0, "train.clip": 1.0}


@given(st.integers(2, 100_000), st.floats(0, 2))
def test_loss_is_worse_only_beyond_the_margin(tokens: int, share: float) -> None:
    assert guessing_loss(tokens) == math.log(tokens)
    assert is_worse_than_guessing(share * math.log(tokens), tokens) == (
        share * math.log(tokens) > MARGIN * math.log(tokens)
    )


def test_no_loss_and_one_token_are_never_worse() -> None:
    assert not is_worse_than_guessing(None, 65)
    assert not is_worse_than_guessing(1e-7, 1)
    assert not is_worse_than_guessing(math.nan, 65)


def test_warning_says_how_bad_and_what_to_set() -> None:
    said = warning("run", {"val/loss": 62658.0, "test/loss": 1.0e9}, 65, RATE)
    assert said == (
        "run is worse than guessing: its val loss is 62,658.000 nats per token, "
        "and guessing among 65 tokens has 4.174; the run is kept; train it again with --set "
        "train.learning_rate=0.006 (it was 100), and if that is not enough with a train.clip below 1"
    )


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        (
            {"train.learning_rate": 0.006, "train.clip": 1.0},
            "--set train.learning_rate=0.0006 (it was 0.006)",
        ),
        (
            {"train.learning_rate": 1.0, "train.clip": 0.0},
            "--set train.learning_rate=0.006 --set train.clip=1 (they were 1 and 0)",
        ),
        ({}, "train it again with a smaller train.learning_rate or train.clip"),
    ],
)
def test_advice_is_smaller_than_what_was_set(settings: dict[str, float], advice: str) -> None:
    assert advice in str(warning("run", {"val/loss": 9.0}, 65, settings))


def test_training_loss_counts_only_without_held_out_text() -> None:
    assert warning("run", {"train/loss": 9.0, "val/loss": 3.0}, 65, RATE) is None
    assert "its train loss is 9.000" in str(warning("run", {"train/loss": 9.0}, 65, RATE))


def test_text_unlike_the_training_text_is_not_blamed_on_the_rate() -> None:
    said = str(warning("run", {"val/loss": 1.5, "text/loss": 9.0}, 65, RATE, splits=["text"]))
    assert "unlike its training text" in said
    assert "learning_rate" not in said


def test_impossible_tokens_are_infinitely_worse() -> None:
    said = str(warning("run", {"val/impossible_tokens": 3.0}, 65, {}, counted="ngram"))
    assert "its val loss is infinite" in said
    assert "charpipe plugins info ngram" in said
