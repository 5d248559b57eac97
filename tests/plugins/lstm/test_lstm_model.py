"""The LSTM against its published equations."""

import pytest
import torch

from charpipe.models import build_model
from charpipe.testing import check_architecture
from charpipe_lstm import charpipe_architectures

(LSTM,) = charpipe_architectures()


def layer_by_equations(layer, number, inputs, hidden, cell):
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000. inputs: [T, B, I]."""
    w = [getattr(layer, f"weight_ih_l{number}"), getattr(layer, f"weight_hh_l{number}")]
    b = getattr(layer, f"bias_ih_l{number}") + getattr(layer, f"bias_hh_l{number}")
    outputs = []
    for x in inputs:
        i, f, g, o = (x @ w[0].T + hidden @ w[1].T + b).chunk(4, dim=-1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        hidden = torch.sigmoid(o) * torch.tanh(cell)
        outputs.append(hidden)
    return torch.stack(outputs), hidden, cell


@pytest.mark.parametrize("layers", [1, 2])
def test_outputs_and_state_follow_the_equations(layers):
    network = build_model(
        LSTM, LSTM.config(hidden_size=6, layers=layers, dropout=0.0, recurrent_dropout=0.0), {}, 5, seed=3
    ).network.eval()
    torch.manual_seed(0)
    ids = torch.randint(5, (7, 2))
    state = {name: torch.randn(layers, 2, 6) for name in ("hidden", "cell")}
    values = torch.nn.functional.one_hot(ids, 5).float()
    for number in range(layers):
        values, hidden, cell = layer_by_equations(
            network.recurrence.layer, number, values, state["hidden"][number], state["cell"][number]
        )
    logits, after = network(ids, state)
    torch.testing.assert_close(logits, network.head(values), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(after["hidden"][-1], hidden, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(after["cell"][-1], cell, rtol=1e-5, atol=1e-5)


def test_a_new_cell_remembers():
    layer = build_model(LSTM, LSTM.config(hidden_size=4, layers=2), {}, 5).network.recurrence.layer
    for number in range(2):
        bias = getattr(layer, f"bias_ih_l{number}") + getattr(layer, f"bias_hh_l{number}")
        assert bias.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8


@pytest.mark.parametrize("settings", [{}, {"layers": 3}, {"embedding_size": 8, "tie_weights": True}])
def test_keeps_the_contract(settings):
    check_architecture(LSTM, **settings)
