"""First weights, by the figures of their sources."""

import pytest
import torch

from charpipe.models import build_model
from charpipe.models.model import parameter_count
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from charpipe_rnn import charpipe_architectures as rnn

ARCHITECTURES = {item.name: item for hook in (rnn, lstm, gru) for item in hook()}
SIZE = 48


def parameters(name="lstm", **settings):
    architecture = ARCHITECTURES[name]
    config = architecture.config(hidden_size=SIZE, layers=2, **settings)
    return dict(build_model(architecture, config, {}, 30).network.named_parameters())


def forget(values):
    return values[SIZE : 2 * SIZE]


def test_usual_weights_remember_and_read_characters_loudly():
    found = parameters()
    assert found["recurrence.layer.weight_ih_l0"].std().item() == pytest.approx(1.0, rel=0.1)
    assert found["recurrence.layer.weight_hh_l1"].abs().max() <= SIZE**-0.5
    assert forget(found["recurrence.layer.bias_ih_l1"]).eq(1).all()
    assert found["recurrence.layer.bias_hh_l1"].eq(0).all()
    assert forget(parameters(forget_bias=0.0)["recurrence.layer.bias_ih_l0"]).eq(0).all()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_gate_is_orthogonal_by_itself(name):
    weights = parameters(name, initialisation="orthogonal")["recurrence.layer.weight_hh_l1"]
    for gate in weights.split(SIZE):
        torch.testing.assert_close(gate @ gate.t(), torch.eye(SIZE), atol=1e-5, rtol=0)


def test_char_rnn_draws_all_from_one_range_but_the_forget_gate():
    found = parameters(initialisation="char-rnn")
    for name, values in found.items():
        if name != "recurrence.layer.bias_ih_l0" and name != "recurrence.layer.bias_ih_l1":
            assert values.abs().max() <= 0.08
            assert values.std().item() == pytest.approx(0.16 / 12**0.5, rel=0.25), name
    assert forget(found["recurrence.layer.bias_ih_l0"]).eq(1).all()


def test_min_char_rnn_is_small_and_has_one_bias_a_unit():
    found = parameters("rnn", initialisation="min-char-rnn")
    for name, values in found.items():
        if name.split(".")[-1].startswith("weight"):
            assert values.std().item() == pytest.approx(0.01, rel=0.1)
        else:
            assert values.eq(0).all()
    assert [name for name, values in found.items() if not values.requires_grad] == [
        "recurrence.layer.bias_hh_l0",
        "recurrence.layer.bias_hh_l1",
    ]


def test_what_is_not_learnt_is_not_counted():
    architecture = ARCHITECTURES["rnn"]
    config = architecture.config(hidden_size=100, initialisation="min-char-rnn")
    network = build_model(architecture, config, {}, 65).network
    assert parameter_count(network) == 100 * 65 + 100 * 100 + 100 + 65 * 100 + 65
