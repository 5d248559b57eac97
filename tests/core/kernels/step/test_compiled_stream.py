"""The compiled stream equals the plain path but for rounding, with any number of threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from charpipe.models import LanguageModel, NetworkPredictor, StepwiseStream, TorchRecurrence, open_stream
from charpipe.plugin import ArchitectureConfig

pytest.importorskip("numba", reason="compiled loops need numba")

from charpipe.kernels.step import loops
from charpipe.kernels.step import stream as compiled
from charpipe.kernels.step.backoff import Backoff
from charpipe.kernels.step.stream import CompiledStream
from charpipe.models.standard import modules_of

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
def test_steps_equal_the_plain_path(name, parts):
    predictor = model(*LAYERS[name])
    state = predictor.initial_state(1)
    quick, plain = (
        CompiledStream(modules_of(predictor.network), state, parts),
        StepwiseStream(predictor, state),
    )
    for token in IDS:
        np.testing.assert_allclose(quick.step(int(token)), plain.step(int(token)), atol=2e-6)
    assert quick.state.keys() == plain.state.keys()
    for key, value in plain.state.items():
        torch.testing.assert_close(quick.state[key], value, atol=1e-6, rtol=1e-5)


def test_steps_with_an_embedding_equal_the_plain_path():
    predictor = model(*LAYERS["lstm"], embedding_size=7)
    state = predictor.initial_state(1)
    quick = open_stream(predictor, state, "compiled")
    assert isinstance(quick, CompiledStream)
    np.testing.assert_allclose(quick.step(5), StepwiseStream(predictor, state).step(5), atol=2e-6)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_state_is_bit_equal_for_any_number_of_threads(name, monkeypatch):
    monkeypatch.setattr(compiled, "BACKOFF", Backoff(lambda: math.inf))  # never pauses
    predictor = model(*LAYERS[name])
    streams = [
        CompiledStream(modules_of(predictor.network), predictor.initial_state(1), parts) for parts in (1, 2)
    ]
    for _ in range(5):  # with one thread and with two
        for stream in streams:
            stream.read(IDS.astype(np.int64))
    first, second = streams
    for key, value in first.state.items():
        assert torch.equal(second.state[key], value)
    logits = [stream.buffers.logits.reshape(-1)[:VOCABULARY] for stream in streams]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_first_thread_alone_changes_no_bit(name, monkeypatch):
    """The first thread has waited too long before the first step, so that the other leaves after it."""
    predictor, plain_workers = model(*LAYERS[name]), CompiledStream._workers
    alone, left = (
        CompiledStream(modules_of(predictor.network), predictor.initial_state(1), 2) for _ in range(2)
    )
    made = []

    def late(stream, threads):
        made.append(plain_workers(stream, threads))
        made[-1][0].sleeps[0] = loops.MAX_SLEEPS + 1
        return made[-1]

    monkeypatch.setattr(compiled, "BACKOFF", Backoff())
    for stream, workers in ((alone, lambda stream, _: plain_workers(stream, 1)), (left, late)):
        monkeypatch.setattr(CompiledStream, "_workers", workers)
        stream.read(IDS.astype(np.int64))
    for key, value in alone.state.items():
        assert torch.equal(left.state[key], value)
    np.testing.assert_array_equal(left.buffers.logits, alone.buffers.logits)
    first, second = made[0]
    assert first.alone_after[0] == first.awaited[0] == second.awaited[0] < loops.NEVER
    assert not compiled.BACKOFF.is_over()


def test_late_threads_are_not_asked_for_a_while(monkeypatch):
    predictor = model(*LAYERS["lstm"])
    stream, asked = CompiledStream(modules_of(predictor.network), predictor.initial_state(1), 2), []
    plain_workers = CompiledStream._workers
    monkeypatch.setattr(CompiledStream, "_workers", lambda s, n: asked.append(n) or plain_workers(s, n))
    now = [0.0]
    monkeypatch.setattr(compiled, "BACKOFF", Backoff(lambda: now[0]))
    compiled.BACKOFF.extend()
    stream.read(IDS.astype(np.int64))
    now[0] += 1
    stream.read(IDS.astype(np.int64))
    assert asked == [1, 2]


def test_threads_late_from_the_start_are_asked_again():
    predictor = model(*LAYERS["lstm"])
    stream = CompiledStream(modules_of(predictor.network), predictor.initial_state(1), 2)
    asked = [stream._choose_threads(), stream._choose_threads()]
    stream._seconds[1] = 1.0  # the only time that is known
    asked.append(stream._choose_threads())
    stream._seconds[2] = 2.0
    assert [*asked, stream._choose_threads()] == [2, 2, 2, 1]


def test_stream_goes_on_from_a_state():
    predictor = model(*LAYERS["gru"])
    stream = CompiledStream(modules_of(predictor.network), predictor.initial_state(1))
    stream.read(IDS[:7].astype(np.int64))
    state = stream.state
    wanted = [stream.step(int(token)).copy() for token in IDS[7:]]
    again = CompiledStream(modules_of(predictor.network), state)
    found = [again.step(int(token)).copy() for token in IDS[7:]]
    np.testing.assert_array_equal(found, wanted)
