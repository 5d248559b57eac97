"""Surprise is the model's own, and survives being written down."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charpipe.inspection.surprise import Surprise, surprise
from charpipe.models import build_model
from charpipe_rnn import charpipe_architectures
from letters import Letters

(RNN,) = charpipe_architectures()


def test_it_is_what_the_network_says():
    predictor = build_model(RNN, RNN.config(hidden_size=3), {}, 4).predictor()
    tokens = [1, 0, 2, 2, 3, 0]
    found = surprise(predictor, Letters("ehlo"), "val", tokens, most=5)
    with torch.no_grad():
        logits, _ = predictor.network(torch.tensor(tokens)[:, None], predictor.initial_state(1))
    logs = logits[:, 0].log_softmax(-1)
    expected = [-float(logs[place, token]) / math.log(2) for place, token in enumerate(tokens[1:5])]
    assert found is not None and found.pieces == tuple("hello") and math.isnan(found.bits[0])
    assert found.bits[1:] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("tokens", [[], [1]])
def test_a_text_in_which_nothing_is_foreseen_has_none(tokens):
    predictor = build_model(RNN, RNN.config(hidden_size=3), {}, 4).predictor()
    assert surprise(predictor, Letters("ehlo"), "val", tokens) is None


@given(st.lists(st.tuples(st.characters(), st.floats(0, 40) | st.just(math.inf)), min_size=2))
def test_it_is_read_as_it_was_written(pieces):
    written = Surprise("test", tuple(c for c, _ in pieces), (math.nan, *(bits for _, bits in pieces[1:])))
    found = Surprise.from_json(json.loads(json.dumps(written.as_json(), allow_nan=False)))
    assert found is not None and (found.split, found.pieces) == ("test", written.pieces)
    assert math.isnan(found.bits[0])
    assert found.bits[1:] == tuple(round(bits, 2) for bits in written.bits[1:])


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"split": "val", "pieces": ["a"], "bits": []},
        {"split": "val", "pieces": [], "bits": []},
        {"split": 1, "pieces": ["a"], "bits": [None]},
        {"split": "val", "pieces": [3], "bits": [None]},
        {"split": "val", "pieces": ["a", "b"], "bits": [None, "2"]},
    ],
)
def test_what_is_something_else_is_none(damaged):
    assert Surprise.from_json(damaged) is None
