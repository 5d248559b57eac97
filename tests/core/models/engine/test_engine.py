"""The engine's numbers are those of PyTorch's layers: values, carried state and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from charpipe.errors import UsageError
from charpipe.models import LanguageModel, TorchRecurrence
from charpipe.models.engine import choose_engine, lanes, obstacle
from charpipe.plugin import ArchitectureConfig

pytest.importorskip("numba", reason="the engine is compiled by numba")

CPU = torch.device("cpu")
NAMES = {nn.LSTM: ("hidden", "cell"), nn.GRU: ("hidden",), nn.RNN: ("hidden",)}
VOCABULARY, LANES, STEPS = 11, 5, 7


def build(kind, size=24, layers=1, embedding=None, vocabulary=VOCABULARY, dropout=0.0):
    torch.manual_seed(7)
    config = ArchitectureConfig(hidden_size=size, layers=layers, embedding_size=embedding, dropout=dropout)

    def recurrence(inputs):
        return TorchRecurrence(
            kind(inputs, size, layers, dropout=dropout if layers > 1 else 0.0), NAMES[kind]
        )

    return LanguageModel(config, vocabulary, recurrence)


def read(network, forward, ids, state):
    """Logits, carried state, and the gradient of every parameter, after two windows in a row."""
    network.zero_grad()
    logits, state = forward(ids[:-1], state)
    state = {name: values.detach() for name, values in state.items()}
    again, state = forward(ids[1:], state)
    loss = functional.cross_entropy(logits.float().flatten(0, 1), ids[1:].flatten())
    loss = loss + functional.cross_entropy(again.float().flatten(0, 1), ids[:-1].flatten())
    loss.backward()
    return again.float(), state, {name: p.grad.clone() for name, p in network.named_parameters()}


def both(network, precision="float32", vocabulary=VOCABULARY):
    ids = torch.randint(vocabulary, (STEPS + 1, LANES), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    state = {name: torch.randn_like(values) for name, values in network.initial_state(LANES).items()}
    return [
        read(network, choose_engine(network, CPU, precision, asked)[1], ids, state)
        for asked in ("fast", "plain")
    ]


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(
    ("layers", "embedding", "vocabulary"), [(1, None, 11), (3, None, 11), (2, 6, 11), (2, 6, 200)]
)
def test_values_state_and_gradients_are_those_of_the_plain_network(kind, layers, embedding, vocabulary):
    fast, plain = both(build(kind, 24, layers, embedding, vocabulary), vocabulary=vocabulary)
    torch.testing.assert_close(fast[0], plain[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fast[1], plain[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fast[2], plain[2], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", NAMES)
def test_weights_large_enough_to_be_packed_multiply_alike(kind):
    fast, plain = both(build(kind, 288, 2))
    torch.testing.assert_close(fast[0], plain[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast[2], plain[2], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", NAMES)
def test_bfloat16_is_no_further_from_float32_than_autocast_is(kind):
    network = build(kind, 64, 2)
    exact = both(network)[1][2]
    fast, plain = (found[2] for found in both(network, "bfloat16"))

    def error(gradients):
        return max(((gradients[name] - exact[name]).norm() / exact[name].norm()).item() for name in exact)

    assert error(fast) < 1.5 * error(plain)


@pytest.mark.parametrize("kind", NAMES)
def test_threads_that_share_the_lanes_find_the_same(kind, monkeypatch):
    network = build(kind, 64, 2)
    alone = both(network)[0]
    monkeypatch.setattr(lanes, "LEAST_WORK", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert lanes.parts_for(LANES, 4096) == 2
        shared = both(network)[0]
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(alone, shared, rtol=1e-5, atol=1e-6)


def test_what_a_thread_raises_is_raised():
    def work(a, b):
        raise ValueError(f"lanes {a} to {b}")

    with pytest.raises(ValueError, match="lanes 0 to 2"):
        lanes.in_parallel(work, [(0, 2), (2, 4)])


def test_dropout_leaves_out_its_share_and_keeps_the_expectation():
    network = build(nn.LSTM, 32, 2, dropout=0.5).train()
    _, forward = choose_engine(network, CPU, "float32", "fast")
    ids, state = torch.zeros(4, LANES, dtype=torch.int64), network.initial_state(LANES)
    torch.manual_seed(1)
    one, two = forward(ids, state)[0], forward(ids, state)[0]
    torch.manual_seed(1)
    assert not torch.equal(one, two)
    assert torch.equal(one, forward(ids, state)[0])
    network.eval()
    torch.testing.assert_close(forward(ids, state)[0], network(ids, state)[0], rtol=1e-5, atol=1e-6)


def test_the_engine_says_what_it_cannot_take(monkeypatch):
    class Own(nn.Module):
        def forward(self, ids, state):
            return ids, state

    assert choose_engine(Own(), CPU, "float32")[0] == "plain"
    with pytest.raises(UsageError, match="not one of PyTorch's"):
        choose_engine(Own(), CPU, "float32", "fast")
    relu = LanguageModel(
        ArchitectureConfig(hidden_size=8),
        5,
        lambda i: TorchRecurrence(nn.RNN(i, 8, nonlinearity="relu"), ("hidden",)),
    )
    assert "usual" in (obstacle(relu, CPU, "float32") or "")
    assert obstacle(build(nn.LSTM), torch.device("cuda"), "float32") == "it is for CPUs"
    assert obstacle(build(nn.LSTM), CPU, "float32") is None
    monkeypatch.setattr("charpipe.models.engine.can_compile", lambda: False)
    assert "numba" in (obstacle(build(nn.LSTM), CPU, "float32") or "")
