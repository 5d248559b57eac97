"""Units recorded by compiled kernels, many tokens at once, equal those of one step after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from charpipe.errors import RunError
from charpipe.inspection.segments import WINDOW, Segments, record
from charpipe.kernels.jit.processor import this_processor
from charpipe.models import NetworkPredictor, build_model
from charpipe.models.from_cell import build_from_cell
from charpipe.models.held_units import hold
from charpipe.plugin import RecurrentConfig
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from some_cells import CELLS

VOCABULARY, END = 7, 2
needs_kernels = pytest.mark.skipif(this_processor() is None, reason="the engine needs AVX2 or AVX-512")


def segments(steps: int = 2 * WINDOW + 5, width: int = 3) -> Segments:
    tokens = np.random.default_rng(5).integers(0, VOCABULARY, (steps, width))
    places, streams = np.indices(tokens.shape)
    return Segments(tokens, (places.ravel(), streams.ravel()), np.zeros((tokens.size, 0), np.float32))


def both(predictor: NetworkPredictor, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    assert predictor.recorder() is not None
    found = record(predictor, segments())
    monkeypatch.setattr(NetworkPredictor, "recorder", lambda self: None)
    return [found.astype(np.float32), record(predictor, segments()).astype(np.float32)]


@needs_kernels
@pytest.mark.parametrize("end_token", [None, END])
@pytest.mark.parametrize("cell", CELLS)
def test_cells(cell: Any, end_token: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    network = build_from_cell(cell, RecurrentConfig(hidden_size=24, layers=2), VOCABULARY)
    network.end_token = end_token  # type: ignore[assignment]
    found, expected = both(NetworkPredictor(network, VOCABULARY), monkeypatch)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


@needs_kernels
@pytest.mark.parametrize("hook", [lstm, gru])
def test_dropout_is_off(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    one = hook()[0]
    config = one.config(hidden_size=24, layers=2, dropout=0.5, recurrent_dropout=0.5)
    network = build_model(one, config, {}, VOCABULARY).network
    found, expected = both(NetworkPredictor(network.train(), VOCABULARY), monkeypatch)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    assert network.training


@needs_kernels
def test_without_kernels_the_network_is_read_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    one = lstm()[0]
    network = build_model(one, one.config(hidden_size=24), {}, VOCABULARY).network
    predictor = NetworkPredictor(network, VOCABULARY)
    found = record(predictor, segments()).astype(np.float32)
    monkeypatch.setattr("charpipe.models.engine.support.this_processor", lambda: None)
    assert predictor.recorder() is None
    expected = record(predictor, segments()).astype(np.float32)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_a_token_that_the_vocabulary_does_not_have_is_refused() -> None:
    """Kernels do not check tokens: they would read beyond their tables."""
    one = lstm()[0]
    network = build_model(one, one.config(hidden_size=24), {}, VOCABULARY).network
    wrong = segments()
    wrong.tokens[70, 1] = VOCABULARY + 2
    with pytest.raises(RunError, match="9"):
        record(NetworkPredictor(network, VOCABULARY), wrong)


def test_held_units_are_read_step_by_step() -> None:
    one = lstm()[0]
    network = build_model(one, one.config(hidden_size=24), {}, VOCABULARY).network
    held = hold(NetworkPredictor(network, VOCABULARY), {"0.5": 0.75})
    assert isinstance(held, NetworkPredictor) and held.recorder() is None
    assert (record(held, segments())[:, 5] == 0.75).all()
