"""Expectations after each prefix are the model's own probabilities, likeliest first."""

import numpy as np
import pytest
import torch

from charpipe.evaluation import predictions, score_text
from charpipe.models import build_model
from charpipe_rnn import charpipe_architectures
from letters import Letters

(RNN,) = charpipe_architectures()


def test_predictions_are_the_models_probabilities():
    predictor = build_model(RNN, RNN.config(hidden_size=3), {}, 4).predictor()
    found = predictions(predictor, Letters("ehlo"), "hell", top=4)
    ids = torch.from_numpy(Letters("ehlo").encode("hell").astype("int64"))[:, None]
    with torch.no_grad():
        logits, _ = predictor.network(ids, predictor.initial_state(1))
    for row, expected in zip(found, logits[:, 0].softmax(-1), strict=True):
        chances = [chance for _, chance in row.likeliest]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1)
        for label, chance in row.likeliest:
            assert chance == pytest.approx(float(expected[Letters("ehlo").labels.index(label)]), rel=1e-5)
    assert [row.prefix for row in found] == ["h", "he", "hel", "hell"]


def test_a_text_is_scored_by_its_predictions():
    predictor = build_model(RNN, RNN.config(hidden_size=3), {}, 4).predictor()
    rows = predictions(predictor, Letters("ehlo"), "hello", top=4)
    chances = [dict(row.likeliest)[after] for row, after in zip(rows, "ello", strict=False)]
    scores = score_text(predictor, Letters("ehlo"), "hello")
    assert scores.nats == pytest.approx(-np.log(chances).mean(), rel=1e-5)
    assert scores.bits_per_char == pytest.approx(scores.nats / np.log(2))
