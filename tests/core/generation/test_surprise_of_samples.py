"""The surprise of a sample's characters is what the model's own predictions say."""

from __future__ import annotations

import math

import pytest
import torch

from charpipe.generation.surprise import surprise_of
from charpipe.models import build_model
from charpipe.plugins.registry import Registry
from letters import Letters


def predictor_of(size: int):
    architecture = Registry().architecture("gru")
    return build_model(architecture, architecture.config(hidden_size=8), {}, size).predictor()


def test_surprise_is_that_of_the_predictions_after_a_line_break() -> None:
    encoding = Letters()
    predictor, text = predictor_of(encoding.size), "".join(encoding.labels[2:6])
    state, found = predictor.initial_state(1), []
    for before, token in zip(encoding.encode("\n" + text), encoding.encode(text), strict=False):
        logits, state = predictor.step(torch.tensor([int(before)]), state)
        found.append(-logits[0].double().log_softmax(0)[int(token)].item() / math.log(2))
    assert surprise_of(predictor, encoding, "", text) == pytest.approx(found, abs=0.006)
    assert surprise_of(predictor, encoding, text[:2], text[2:]) == pytest.approx(found[2:], abs=0.006)


def test_surprise_of_an_empty_or_unknown_text_is_empty() -> None:
    encoding = Letters()
    predictor = predictor_of(encoding.size)
    assert surprise_of(predictor, encoding, "", "") == ()
    assert surprise_of(predictor, encoding, "", "☃") == ()
