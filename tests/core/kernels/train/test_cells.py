"""The kernels of any cell equal its PyTorch form: losses, carried state, gradients and scores."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from charpipe.cells import BOTH, HIDDEN, INPUT, Cell, sigmoid, tanh
from charpipe.kernels.jit.processor import this_processor
from charpipe.models import LanguageModel, NetworkPredictor, TorchRecurrence
from charpipe.models.engine import choose_engine, obstacle
from charpipe.models.from_cell import build_from_cell
from charpipe.plugin import RecurrentConfig, log
from some_cells import CELLS

CPU, VOCABULARY = torch.device("cpu"), 11
pytestmark = pytest.mark.skipif(this_processor() is None, reason="the engine needs AVX2 or AVX-512")


def build(cell, **config):
    torch.manual_seed(3)
    return build_from_cell(cell, RecurrentConfig(**config), VOCABULARY)


def results(network, engine, precision="float32", batch_size=5, steps=9):
    """Losses, the state and the gradients of two windows in a row, from a state that is not zero."""
    name, update = choose_engine(network, CPU, precision, engine, batch_size=batch_size)
    assert name == engine
    ids = torch.randint(VOCABULARY, (2 * steps + 1, batch_size), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    state = {
        name: 0.5 * torch.randn_like(values) for name, values in network.initial_state(batch_size).items()
    }
    losses, gradients = [], []
    for first in (0, steps):
        network.zero_grad()
        loss, state = update(ids[first : first + steps], ids[first + 1 : first + steps + 1], state, 1.0)
        losses.append(loss)
        gradients.append(
            {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
        )
    return losses, state, gradients


def assert_equal(network, **sizes):
    fast, plain = results(network, "fast", **sizes), results(network, "plain", **sizes)
    torch.testing.assert_close(fast[0], plain[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fast[1], plain[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast[2], plain[2], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("size", "layers", "embedding"), [(24, 1, None), (32, 2, None), (7, 3, 6)])
def test_losses_state_and_gradients_equal_the_plain_network(cell, size, layers, embedding):
    assert_equal(build(cell, hidden_size=size, layers=layers, embedding_size=embedding))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("steps", "batch_size"), [(1, 1), (40, 2), (2, 13)])
def test_windows_of_any_size(cell, steps, batch_size):
    assert_equal(build(cell, hidden_size=16, layers=2), steps=steps, batch_size=batch_size)


@pytest.mark.parametrize("cell", CELLS)
def test_bfloat16_is_near_to_float32(cell):
    if not this_processor().bfloat16:
        pytest.skip("this processor multiplies no bfloat16")
    network = build(cell, hidden_size=32)
    exact, found = results(network, "fast"), results(network, "fast", "bfloat16")
    torch.testing.assert_close(found[0], exact[0], rtol=0.02, atol=0.02)


@pytest.mark.parametrize("cell", CELLS)
def test_scores_and_threads(cell):
    network = build(cell, hidden_size=24, layers=2)
    predictor = NetworkPredictor(network, VOCABULARY)
    ids = torch.randint(VOCABULARY, (30, 7), generator=torch.Generator().manual_seed(4))
    nats, state = predictor.score(ids, network.initial_state(7))
    expected, state_expected = predictor._score(ids, network.initial_state(7))
    assert "Compiled" in type(predictor._scorer).__name__
    torch.testing.assert_close(nats, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(state, state_expected, rtol=1e-4, atol=1e-5)


def test_relu_layers_of_pytorch_are_a_cell_as_well():
    torch.manual_seed(1)
    network = LanguageModel(
        RecurrentConfig(hidden_size=20),
        VOCABULARY,
        lambda size: TorchRecurrence(nn.RNN(size, 20, 2, nonlinearity="relu"), ("hidden",)),
    )
    assert obstacle(network, CPU, "float32") is None
    assert_equal(network)


@given(
    feeds=st.lists(st.sampled_from([BOTH, INPUT, HIDDEN]), min_size=1, max_size=6),
    size=st.sampled_from([3, 16, 40]),
)
@settings(max_examples=12, deadline=None)
def test_gates_in_any_order(feeds, size):
    feeds = [*feeds, INPUT]

    class Any(Cell):
        gates = {f"g{n}": each for n, each in enumerate(feeds)}
        state = ("hidden",)

        def step(self, gates, state):
            total = sum((n + 1) * sigmoid(gates[f"g{n}"]) for n in range(len(feeds)))
            return {"hidden": tanh(0.3 * total - 1) + 0.25 * state.hidden}

    assert_equal(build(Any, hidden_size=size))


class InfiniteAtZero(Cell):
    gates = {"a": BOTH}
    state = ("hidden",)

    def step(self, gates, state):
        return {"hidden": tanh(log(abs(gates.a)) * 0.1)}


def test_padding_that_would_not_stay_finite_is_refused():
    odd, whole = (build(InfiniteAtZero, hidden_size=size) for size in (20, 32))
    assert "hidden_size must be a multiple of 32, and it is 20" in (obstacle(odd, CPU, "float32") or "")
    assert results(odd, "plain")[0][0].isfinite()
    assert obstacle(whole, CPU, "float32") is None
    torch.testing.assert_close(results(whole, "fast")[0], results(whole, "plain")[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_usual_cells_have_units_of_any_number(cell):
    assert obstacle(build(cell, hidden_size=7), CPU, "float32") is None
