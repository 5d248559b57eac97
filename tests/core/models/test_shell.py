"""The shell: one-hot or embedded characters, dropout while training only, state always in float32."""

import pytest
import torch

from charpipe.models import build_model
from charpipe.models.precision import autocast
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from charpipe_rnn import charpipe_architectures as rnn

ARCHITECTURES = [item for hook in (rnn, lstm, gru) for item in hook()]
IDS = torch.randint(9, (6, 2), generator=torch.Generator().manual_seed(0))


def build(architecture, **settings):
    return build_model(architecture, architecture.config(hidden_size=10, **settings), {}, 9).network


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda item: item.name)
def test_one_hot_is_a_look_up(architecture):
    one_hot = build(architecture).eval()
    weights = one_hot.state_dict()
    looked_up = build(architecture, embedding_size=9).eval()
    looked_up.load_state_dict({**weights, "embedding.weight": torch.eye(9)})
    first, _ = one_hot(IDS, one_hot.initial_state(2))
    second, _ = looked_up(IDS, looked_up.initial_state(2))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda item: item.name)
def test_dropout_is_for_training(architecture):
    network = build(architecture, dropout=0.5)
    state = network.initial_state(2)
    assert not torch.equal(network(IDS, state)[0], network(IDS, state)[0])
    network.eval()
    assert torch.equal(network(IDS, state)[0], network(IDS, state)[0])


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda item: item.name)
def test_state_stays_float32_in_bfloat16(architecture):
    network = build(architecture, layers=2).eval()
    exact, _ = network(IDS, network.initial_state(2))
    with autocast(torch.device("cpu"), "bfloat16"):
        rough, state = network(IDS, network.initial_state(2))
    assert {values.dtype for values in state.values()} == {torch.float32}
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.05)
    assert not torch.equal(rough.float(), exact)


@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_parameters(name, gates):
    (architecture,) = (item for item in ARCHITECTURES if item.name == name)
    model = build_model(architecture, architecture.config(hidden_size=10), {}, 9)
    assert model.parameters == gates * (10 * 9 + 10 * 10 + 2 * 10) + 10 * 9 + 9
    assert model.title == f"{name} 1x10"


def test_a_large_vocabulary_is_embedded():
    architecture = ARCHITECTURES[0]
    config = architecture.config(hidden_size=10)
    assert build_model(architecture, config, {}, 128).network.embedding is None
    assert build_model(architecture, config, {}, 129).network.embedding.embedding_dim == 128
