"""Locked dropout and dropped recurrent weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from charpipe.models import LanguageModel, TorchRecurrence
from charpipe.models.dropout import drop
from charpipe.plugin import RecurrentConfig

NAMES = {nn.LSTM: ("hidden", "cell"), nn.GRU: ("hidden",), nn.RNN: ("hidden",)}


def test_locked_dropout_lacks_the_same_units_at_every_step():
    torch.manual_seed(0)
    found = drop(torch.ones(9, 4, 50), 0.4, True, locked=True)
    assert found.eq(found[:1]).all()
    assert found.unique().tolist() == [0.0, pytest.approx(1 / 0.6)]
    assert not found[0, 0].equal(found[0, 1])
    assert drop(torch.ones(9, 4, 50), 0.4, False, locked=True).eq(1).all()
    assert not (free := drop(torch.ones(9, 4, 50), 0.4, True)).eq(free[:1]).all()


def network_of(kind, *, dropout=0.0, locked=False, recurrent=0.0, layers=2, size=16):
    torch.manual_seed(3)
    config = RecurrentConfig(hidden_size=size, layers=layers, dropout=dropout, locked_dropout=locked)

    def recurrence(inputs):
        layer = kind(inputs, size, layers, dropout=dropout)
        return TorchRecurrence(layer, NAMES[kind], locked=locked, recurrent_dropout=recurrent)

    return LanguageModel(config, 11, recurrence)


def read(network, seed=5):
    """Logits, state and gradients of a window."""
    ids = torch.randint(11, (8, 3), generator=torch.Generator().manual_seed(1))
    network.zero_grad()
    torch.manual_seed(seed)
    logits, state = network(ids[:-1], network.initial_state(3))
    functional.cross_entropy(logits.flatten(0, 1), ids[1:].flatten()).backward()
    return logits.detach(), state, {name: p.grad.clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize("kind", NAMES)
def test_layer_by_layer_is_what_pytorch_does_at_once(kind):
    network = network_of(kind).train()
    inputs, state = torch.randn(6, 3, 11), network.initial_state(3)
    whole = network.recurrence(inputs, state)
    values, after = network.recurrence._by_layer(inputs, tuple(state.values()))
    torch.testing.assert_close(values, whole[0])
    torch.testing.assert_close(dict(zip(state, after, strict=True)), whole[1])


@pytest.mark.parametrize("kind", NAMES)
def test_recurrent_weights_are_dropped_while_training_and_a_dropped_one_learns_nothing(kind):
    network = network_of(kind, recurrent=0.5, layers=1).train()
    one, two = read(network, seed=1), read(network, seed=2)
    assert not torch.equal(one[0], two[0])
    still = one[2]["recurrence.layer.weight_hh_l0"].eq(0).float().mean()
    assert 0.4 < still < 0.6
    network.eval()
    assert torch.equal(read(network, seed=1)[0], read(network, seed=2)[0])
