"""Scores count every token but the first once, with carried state, however many are read side by side."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charpipe.errors import UsageError
from charpipe.evaluation import score
from charpipe.evaluation.spans import RUN_UP, choose_spans
from charpipe.models import build_model
from charpipe_lstm import charpipe_architectures

(LSTM,) = charpipe_architectures()


class Bigrams:
    """A predictor of known scores: the next token is the last plus one with probability 1/2."""

    vocabulary_size = 5

    def initial_state(self, batch_size):
        return {}

    def step(self, ids, state):
        chances = torch.full((len(ids), 5), 1 / 8)
        chances[torch.arange(len(ids)), (ids + 1) % 5] = 1 / 2
        return chances.log(), state

    def score(self, ids, state):
        hit = ids[1:] == (ids[:-1] + 1) % 5
        return torch.where(hit, math.log(2), math.log(8)), state


@settings(deadline=None)
@given(st.integers(2, 500_000), st.one_of(st.none(), st.integers(2, 300_000)))
def test_spans_lie_apart_and_within_the_split(count, limit):
    spans = choose_spans(count, limit)
    ends = spans.starts + spans.counts
    assert spans.starts[0] == 0
    assert (spans.counts > 0).all()
    assert ends[-1] <= count - 1
    assert ends[-1] == count - 1 or len(ends) == 1
    assert (spans.starts[1:] >= ends[:-1]).all()
    assert (spans.starts[1:] >= RUN_UP).all()
    if spans.whole:
        assert spans.counts.sum() == count - 1
    else:
        assert 0.9 * limit <= spans.counts.sum() <= limit


@pytest.mark.parametrize("count", [2, 3, 300, 5_000, 70_001])
def test_whole_splits(count):
    tokens = np.random.default_rng(0).integers(0, 5, count).astype(np.uint8)
    hits = tokens[1:] == (tokens[:-1] + 1) % 5
    expected = np.where(hits, math.log(2), math.log(8)).mean()
    told = []
    found = score(
        Bigrams(), tokens, characters=count, utf8_bytes=2 * count, progress=lambda *now: told.append(now)
    )
    assert found.nats == pytest.approx(expected, rel=1e-6)
    assert (found.tokens, found.whole, found.standard_error) == (count - 1, True, None)
    assert found.bits_per_char == pytest.approx(expected / math.log(2))
    assert found.bits_per_byte == pytest.approx(expected / math.log(2) / 2)
    assert told[-1] == (count - 1, count - 1)


def test_spans_estimate_the_whole():
    tokens = np.random.default_rng(0).integers(0, 5, 400_000).astype(np.uint8)
    part, whole = score(Bigrams(), tokens, limit=50_000), score(Bigrams(), tokens, limit=50_000, full=True)
    assert (part.whole, whole.whole) == (False, True)
    assert whole.tokens == 399_999
    assert 0 < part.standard_error < 0.02
    assert abs(part.nats - whole.nats) < 4 * part.standard_error
    assert set(part.metrics("test")) == {"test/loss", "test/loss_standard_error"}


def test_side_by_side_equals_one_stream():
    network = build_model(LSTM, LSTM.config(hidden_size=16), {}, 5)
    predictor = network.predictor()
    tokens = np.random.default_rng(0).integers(0, 5, 9_000).astype(np.uint8)
    ids = torch.from_numpy(tokens.astype(np.int64))[:, None]
    nats, _ = predictor.score(ids, predictor.initial_state(1))
    assert len(choose_spans(len(tokens), None).starts) > 1
    assert score(predictor, tokens).nats == pytest.approx(float(nats.mean()), rel=1e-6)


def test_scoring_leaves_the_network_training():
    model = build_model(LSTM, LSTM.config(hidden_size=4, dropout=0.5), {}, 5)
    tokens = np.zeros(50, np.uint8)
    first = score(model.predictor(), tokens).nats
    assert model.network.training
    assert score(model.predictor(), tokens).nats == first


@pytest.mark.parametrize("count", [0, 1])
def test_too_little_is_refused(count):
    with pytest.raises(UsageError, match="at least two"):
        score(Bigrams(), np.zeros(count, np.uint8))
