"""The quick stream is the plain path but for rounding: the same logits, the same state, the same text."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from charpipe.generation import SampleConfig, sample
from charpipe.models import (
    ArrayStream,
    LanguageModel,
    StepwiseStream,
    TorchRecurrence,
    build_model,
    open_stream,
)
from charpipe.models.streams.numpy_step import BLOCK, blocks
from charpipe.plugin import ArchitectureConfig
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from charpipe_rnn import charpipe_architectures as rnn
from letters import Letters

ARCHITECTURES = [item for hook in (rnn, lstm, gru) for item in hook()]
LETTERS = Letters("\nabcdefghijklmnopqrstuv")
VOCABULARY = 23
IDS = torch.randint(VOCABULARY, (60,), generator=torch.Generator().manual_seed(0)).tolist()


def predictor(architecture, size=VOCABULARY, **settings):
    config = architecture.config(**{"hidden_size": 40, **settings})
    model = build_model(architecture, config, {}, size)
    generator = torch.Generator().manual_seed(4)
    for parameter in model.network.parameters():  # biases too; larger weights would amplify any rounding
        nn.init.normal_(parameter, std=0.1, generator=generator)
    nn.init.normal_(model.network.head.bias, generator=generator)
    return model.predictor()


class WithoutStream:
    """A predictor that nothing is known of."""

    def __init__(self, inner):
        self.vocabulary_size = inner.vocabulary_size
        self.initial_state, self.step, self.score = inner.initial_state, inner.step, inner.score


def same(quick, plain):
    for token in IDS:
        torch.testing.assert_close(
            torch.from_numpy(quick.step(token)), torch.from_numpy(plain.step(token)), atol=1e-4, rtol=0
        )
    assert quick.state.keys() == plain.state.keys()
    for name, values in plain.state.items():
        torch.testing.assert_close(quick.state[name], values, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [{}, {"layers": 3}, {"embedding_size": 7}, {"embedding_size": 40, "tie_weights": True}, {"dropout": 0.5}],
    ids=str,
)
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda item: item.name)
def test_logits_and_state(architecture, settings):
    model = predictor(architecture, **settings)
    begun = {name: torch.randn_like(value) * 0.3 for name, value in model.initial_state(1).items()}
    kept = {name: value.clone() for name, value in begun.items()}
    quick = open_stream(model, begun)
    assert isinstance(quick, ArrayStream)
    same(quick, StepwiseStream(model, begun))
    assert all(torch.equal(begun[name], kept[name]) for name in kept)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda item: item.name)
def test_a_stream_goes_on_from_another_s_state(architecture):
    model = predictor(architecture, layers=2)
    first = open_stream(model, model.initial_state(1))
    for token in IDS:
        first.step(token)
    second = open_stream(model, first.state)
    for token in IDS:
        torch.testing.assert_close(torch.tensor(first.step(token)), torch.tensor(second.step(token)))


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda item: item.name)
@pytest.mark.parametrize(
    "settings", [{}, {"top_k": 5, "min_p": 0.1}, {"top_p": 0.9}, {"greedy": True}], ids=str
)
def test_the_same_text(architecture, settings):
    model = predictor(architecture, layers=2)
    wanted = SampleConfig(length=1500, prompt="abc", temperature=1, seed=5, **settings)
    assert sample(model, LETTERS, wanted) == sample(WithoutStream(model), LETTERS, wanted)


def language_model(layer, names=("hidden",)):
    config = ArchitectureConfig(hidden_size=8)
    return LanguageModel(config, VOCABULARY, lambda size: TorchRecurrence(layer(size), names)).eval()


def streamed(network, precision="float32"):
    from charpipe.models import NetworkPredictor

    model = NetworkPredictor(network, VOCABULARY, precision)
    return open_stream(model, model.initial_state(1)), model


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (lambda size: nn.RNN(size, 8, 2, nonlinearity="relu"), ("hidden",)),
        (lambda size: nn.GRU(size, 8, 2, bias=False), ("hidden",)),
        (lambda size: nn.LSTM(size, 8, bias=False), ("hidden", "cell")),
    ],
)
def test_unusual_layers(layer, names):
    quick, model = streamed(language_model(layer, names))
    assert isinstance(quick, ArrayStream)
    same(quick, StepwiseStream(model, model.initial_state(1)))


def test_what_is_not_known_takes_the_plain_path():
    class Doubled(nn.GRU):
        def forward(self, *arguments):
            outputs, state = super().forward(*arguments)
            return outputs * 2, state

    class Shell(LanguageModel):
        pass

    watched = language_model(lambda size: nn.GRU(size, 8))
    watched.head.register_forward_hook(lambda *_: None)
    derived = Shell(
        ArchitectureConfig(hidden_size=8), VOCABULARY, lambda n: TorchRecurrence(nn.GRU(n, 8), ("hidden",))
    )
    for network in (language_model(lambda size: Doubled(size, 8)), watched, derived):
        assert isinstance(streamed(network)[0], StepwiseStream)
    plain = language_model(lambda size: nn.GRU(size, 8))
    assert isinstance(streamed(plain)[0], ArrayStream)
    assert isinstance(streamed(plain, "bfloat16")[0], StepwiseStream)
    assert isinstance(streamed(plain.double())[0], StepwiseStream)


def test_large_products_are_divided():
    weights, vector = torch.randn(700, 1500).numpy(), torch.randn(700).numpy()
    out = torch.empty(1500).numpy()
    pieces = blocks(weights, out)
    assert all(piece.size <= BLOCK for piece, _ in pieces)
    for piece, part in pieces:
        part[:] = vector @ piece
    torch.testing.assert_close(
        torch.from_numpy(out), torch.from_numpy(vector @ weights), atol=1e-3, rtol=1e-4
    )
