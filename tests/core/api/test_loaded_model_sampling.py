"""Beam search, scores, many prompts, constraints and held units from Python."""

from __future__ import annotations

import re

import pytest

from charpipe.api.loaded_model import LoadedModel
from charpipe.errors import UsageError
from charpipe.models import build_model
from charpipe.models.loaded import Loaded
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry

TEXT = "\nabcdef"


@pytest.fixture
def rnn() -> LoadedModel:
    lstm = Registry().architecture("lstm")
    model = build_model(lstm, lstm.config(hidden_size=9), {}, len(TEXT))
    encoding = resolve(Registry().tokenizer("char").load)({"characters": TEXT, "nibbles": False})
    return LoadedModel(Loaded("a-run", model, encoding))


def test_beam_search_finds_texts_with_scores(rnn: LoadedModel) -> None:
    found = rnn.beam_search("ab", width=3, length=8, stop=["c"])
    assert len(found) == 3
    assert all("c" not in one.text and one.log_probability < 0 for one in found)
    with pytest.raises(UsageError, match="wider than the vocabulary"):
        rnn.beam_search("ab", width=8)


def test_scores_are_of_the_text_that_sample_writes(rnn: LoadedModel) -> None:
    pieces = rnn.scored("ab", length=20, seed=4)
    assert "".join(piece.text for piece in pieces) == rnn.sample("ab", length=20, seed=4)
    assert all(piece.log_probability < 0 for piece in pieces if piece.log_probability is not None)


def test_many_prompts(rnn: LoadedModel) -> None:
    texts = rnn.sample_many(["ab", "c"], length=10, temperature=1.5)
    assert [text[: len(text) - 10] for text in texts] == ["ab", "c"]
    with pytest.raises(UsageError, match="the vocabulary has no '!'"):
        rnn.sample_many(["ab", "!"])


def test_a_held_unit_is_held_for_one_call(rnn: LoadedModel) -> None:
    plain = rnn.sample("a", length=30, seed=1)
    rnn.reset()
    assert rnn.sample("a", length=30, seed=1, clamp={"0.2": 20.0}) != plain
    rnn.reset()
    assert rnn.sample("a", length=30, seed=1) == plain
    with pytest.raises(UsageError, match="no unit 9"):
        rnn.sample("a", clamp={"0.9": 1.0})


def test_a_constrained_text_continues(rnn: LoadedModel) -> None:
    expression = {"regex": {"pattern": "[ab]{3}"}}
    assert re.fullmatch("[ab]{3}", rnn.sample("c", length=9, decoders=expression))
    assert re.fullmatch("[ab]{3}", rnn.sample(length=9, decoders=expression))


def test_these_calls_leave_the_state(rnn: LoadedModel) -> None:
    rnn.step("abc")
    before = {name: value.clone() for name, value in rnn.state.items()}
    rnn.beam_search("a", 2, 5)
    rnn.scored("a", 5)
    rnn.sample_many(["a"], 5)
    assert all((rnn.state[name] == value).all() for name, value in before.items())
