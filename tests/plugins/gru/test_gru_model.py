"""The GRU against its published equations."""

import pytest
import torch

from charpipe.models import build_model
from charpipe.testing import check_architecture
from charpipe_gru import charpipe_architectures

(GRU,) = charpipe_architectures()


def layer_by_equations(layer, inputs, hidden):
    """Cho et al. 2014, with the reset gate after the recurrent product. inputs: [T, B, I]."""
    outputs = []
    for x in inputs:
        new = (x @ layer.weight_ih_l0.T + layer.bias_ih_l0).chunk(3, dim=-1)
        old = (hidden @ layer.weight_hh_l0.T + layer.bias_hh_l0).chunk(3, dim=-1)
        reset, update = torch.sigmoid(new[0] + old[0]), torch.sigmoid(new[1] + old[1])
        candidate = torch.tanh(new[2] + reset * old[2])
        hidden = (1 - update) * candidate + update * hidden
        outputs.append(hidden)
    return torch.stack(outputs)


def test_outputs_and_state_follow_the_equations():
    network = build_model(GRU, GRU.config(hidden_size=6), {}, 5, seed=3).network.eval()
    torch.manual_seed(0)
    ids, hidden = torch.randint(5, (7, 2)), torch.randn(1, 2, 6)
    values = layer_by_equations(
        network.recurrence.layer, torch.nn.functional.one_hot(ids, 5).float(), hidden[0]
    )
    logits, after = network(ids, {"hidden": hidden})
    torch.testing.assert_close(logits, network.head(values), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(after["hidden"][0], values[-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"layers": 3}, {"embedding_size": 8, "tie_weights": True}])
def test_keeps_the_contract(settings):
    check_architecture(GRU, **settings)
