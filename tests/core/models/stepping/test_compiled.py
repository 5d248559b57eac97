"""The compiled loops are the plain path but for rounding, however many threads share them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from charpipe.models import LanguageModel, NetworkPredictor, StepwiseStream, TorchRecurrence, open_stream
from charpipe.plugin import ArchitectureConfig

pytest.importorskip("numba", reason="compiled loops need numba")

from charpipe.models.stepping import compiled, kernels
from charpipe.models.stepping.company import Company
from charpipe.models.stepping.compiled import CompiledStream

VOCABULARY = 23
IDS = torch.randint(VOCABULARY, (60,), generator=torch.Generator().manual_seed(0)).numpy()
LAYERS = {
    "rnn": (lambda size: nn.RNN(size, 20, 2), ("hidden",)),
    "relu": (lambda size: nn.RNN(size, 20, nonlinearity="relu"), ("hidden",)),
    "lstm": (lambda size: nn.LSTM(size, 20, 3), ("hidden", "cell")),
    "lstm without bias": (lambda size: nn.LSTM(size, 37, bias=False), ("hidden", "cell")),
    "gru": (lambda size: nn.GRU(size, 33, 2), ("hidden",)),
    "gru without bias": (lambda size: nn.GRU(size, 8, bias=False), ("hidden",)),
}


def model(layer, names, **settings):
    generator = torch.Generator().manual_seed(4)
    made = layer(3)
    config = ArchitectureConfig(hidden_size=made.hidden_size, **settings)
    network = LanguageModel(config, VOCABULARY, lambda size: TorchRecurrence(layer(size), names)).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return NetworkPredictor(network, VOCABULARY)


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_it_steps_like_the_plain_path(name, parts):
    predictor = model(*LAYERS[name])
    state = predictor.initial_state(1)
    quick, plain = CompiledStream(predictor.network, state, parts), StepwiseStream(predictor, state)
    for token in IDS:
        np.testing.assert_allclose(quick.step(int(token)), plain.step(int(token)), atol=2e-6)
    assert quick.state.keys() == plain.state.keys()
    for key, value in plain.state.items():
        torch.testing.assert_close(quick.state[key], value, atol=1e-6, rtol=1e-5)


def test_an_embedding_is_looked_up():
    predictor = model(*LAYERS["lstm"], embedding_size=7)
    state = predictor.initial_state(1)
    quick = open_stream(predictor, state, "compiled")
    assert isinstance(quick, CompiledStream)
    np.testing.assert_allclose(quick.step(5), StepwiseStream(predictor, state).step(5), atol=2e-6)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_threads_change_no_bit(name, monkeypatch):
    monkeypatch.setattr(compiled, "COMPANY", Company(lambda: math.inf))  # always asked
    predictor = model(*LAYERS[name])
    streams = [CompiledStream(predictor.network, predictor.initial_state(1), parts) for parts in (1, 2)]
    for _ in range(5):  # with one thread and with two
        for stream in streams:
            stream.read(IDS.astype(np.int64))
    first, second = streams
    for key, value in first.state.items():
        assert torch.equal(second.state[key], value)
    logits = [stream.carried.logits.reshape(-1)[:VOCABULARY] for stream in streams]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_thread_that_goes_on_alone_changes_no_bit(name, monkeypatch):
    """The first thread has waited too long before the first step, so that the other leaves after it."""
    predictor, plain_teams = model(*LAYERS[name]), CompiledStream._teams
    alone, left = (CompiledStream(predictor.network, predictor.initial_state(1), 2) for _ in range(2))
    made = []

    def late(stream, threads):
        made.append(plain_teams(stream, threads))
        made[-1][0].late[0] = kernels.LATE + 1
        return made[-1]

    monkeypatch.setattr(compiled, "COMPANY", Company())
    for stream, teams in ((alone, lambda stream, _: plain_teams(stream, 1)), (left, late)):
        monkeypatch.setattr(CompiledStream, "_teams", teams)
        stream.read(IDS.astype(np.int64))
    for key, value in alone.state.items():
        assert torch.equal(left.state[key], value)
    np.testing.assert_array_equal(left.carried.logits, alone.carried.logits)
    first, second = made[0]
    assert first.parting[0] == first.awaited[0] == second.awaited[0] < kernels.NEVER
    assert not compiled.COMPANY.is_free()


def test_others_that_were_late_are_not_asked_for_a_while(monkeypatch):
    predictor = model(*LAYERS["lstm"])
    stream, asked = CompiledStream(predictor.network, predictor.initial_state(1), 2), []
    plain_teams = CompiledStream._teams
    monkeypatch.setattr(CompiledStream, "_teams", lambda s, n: asked.append(n) or plain_teams(s, n))
    now = [0.0]
    monkeypatch.setattr(compiled, "COMPANY", Company(lambda: now[0]))
    compiled.COMPANY.was_late()
    stream.read(IDS.astype(np.int64))
    now[0] += 1
    stream.read(IDS.astype(np.int64))
    assert asked == [1, 2]


def test_others_that_were_late_from_the_start_are_asked_again():
    predictor = model(*LAYERS["lstm"])
    stream = CompiledStream(predictor.network, predictor.initial_state(1), 2)
    asked = [stream._threads(), stream._threads()]
    stream._pace[1] = 1.0  # the only pace that is known
    asked.append(stream._threads())
    stream._pace[2] = 2.0
    assert [*asked, stream._threads()] == [2, 2, 2, 1]


def test_state_is_taken_up_again():
    predictor = model(*LAYERS["gru"])
    stream = CompiledStream(predictor.network, predictor.initial_state(1))
    stream.read(IDS[:7].astype(np.int64))
    state = stream.state
    wanted = [stream.step(int(token)).copy() for token in IDS[7:]]
    again = CompiledStream(predictor.network, state)
    found = [again.step(int(token)).copy() for token in IDS[7:]]
    np.testing.assert_array_equal(found, wanted)


def test_functions_of_one_number():
    x = np.linspace(-100, 100, 4001, dtype=np.float32)
    for function, wanted in (
        (kernels.tanh, np.tanh),
        (kernels.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    ):
        found = np.array([function(value) for value in x])
        np.testing.assert_allclose(found, wanted(x.astype(np.float64)), atol=2e-7)
    assert np.isnan(kernels.tanh(np.float32("nan")))
    assert np.isnan(kernels.sigmoid(np.float32("nan")))
