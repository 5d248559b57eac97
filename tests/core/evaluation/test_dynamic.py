"""Dynamic evaluation: nothing is foreseen, what repeats is learnt, and the model stays what it was."""

import math

import numpy as np
import pytest
import torch

from charpipe.errors import UsageError
from charpipe.evaluation import score
from charpipe.evaluation.dynamic import LIMIT, SMALL, Adapting, score_dynamically
from charpipe.models import build_model
from charpipe_lstm import charpipe_architectures

ARCHITECTURE = next(iter(charpipe_architectures()))
SIZE = 12


@pytest.fixture
def predictor():
    return build_model(ARCHITECTURE, ARCHITECTURE.config(hidden_size=16), {}, SIZE).predictor()


@pytest.fixture
def text():
    return np.random.default_rng(0).integers(SIZE, size=900).astype(np.uint8)


def test_a_model_that_does_not_move_scores_as_a_static_one(predictor, text):
    found = score_dynamically(predictor, text, text, rate=0.0, decay=0.0, characters=len(text))
    assert found.nats == pytest.approx(found.static_nats, rel=1e-5)
    assert found.static_nats == score(predictor, text, full=True).nats
    assert found.bits_per_char == pytest.approx(found.nats / math.log(2))
    assert (found.tokens, found.whole) == (899, True)


def test_what_repeats_is_learnt_and_the_model_stays_what_it_was(predictor, text):
    repeated = np.tile(text[:30], 30)
    before = [values.clone() for values in predictor.network.parameters()]
    found = score_dynamically(predictor, repeated, text, rate=0.01, decay=0.0)
    assert found.nats < found.static_nats - 0.1
    assert all(torch.equal(a, b) for a, b in zip(before, predictor.network.parameters(), strict=True))
    assert found.metrics("val").keys() == {"val/dynamic_loss", "val/dynamic_static_loss"}


def test_nothing_is_foreseen(predictor, text):
    """What comes after a segment does not change its score."""
    other = text.copy()
    other[450:] = 0
    nats = []
    for tokens in (text, other):
        adapting = Adapting(predictor, text, 1e-3, 0.02, 50)
        nats.append(adapting.read(tokens[:401], 50, None))
    assert nats[0] == nats[1]


def test_the_first_segment_is_scored_before_anything_is_learnt(predictor, text):
    found = score_dynamically(predictor, text[:51], text, rate=1.0, segment=50)
    assert found.nats == pytest.approx(found.static_nats, rel=1e-5)


def test_a_step_is_the_gradient_over_its_usual_size_and_back_to_what_was_learnt(predictor, text):
    adapting = Adapting(predictor, text, 0.01, 0.5, 50)
    weights, learnt, usual = adapting._weights[0], adapting._learnt[0], adapting._usual[0]
    with torch.no_grad():
        weights += 1.0
    weights.grad = torch.full_like(weights, 2.0)
    mean = torch.cat([each.flatten() for each in adapting._usual]).mean()
    back = (0.5 * usual / mean).clamp(max=1.0)
    expected = learnt + (1.0 - back) - 0.01 * 2.0 / (usual + SMALL * mean)
    adapting._follow()
    torch.testing.assert_close(weights.detach(), expected, rtol=1e-4, atol=1e-4)


def test_only_the_beginning_of_a_long_text_is_read_unless_all_is_asked_for(predictor, text, monkeypatch):
    assert LIMIT == 200_000
    monkeypatch.setattr("charpipe.evaluation.dynamic.LIMIT", 300)
    told = []
    found = score_dynamically(predictor, text, text, progress=lambda done, todo: told.append((done, todo)))
    assert (found.tokens, found.whole, told[-1]) == (300, False, (300, 300))
    assert score_dynamically(predictor, text, text, full=True).whole


def test_what_cannot_adapt_is_refused(predictor, text):
    class WithoutGradient:
        vocabulary_size = SIZE

    with pytest.raises(UsageError, match="no gradient to train by"):
        score_dynamically(WithoutGradient(), text, text)
    with pytest.raises(UsageError, match="two tokens"):
        score_dynamically(predictor, text[:1], text)
