"""The cells of charpipe_cells keep the contract, and compute what their papers say."""

from __future__ import annotations

import pytest
import torch

from charpipe.models import build_model
from charpipe.testing import check_architecture
from charpipe_cells import charpipe_architectures

ARCHITECTURES = {spec.name: spec for spec in charpipe_architectures()}
H = 5


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_conforms(name):
    check_architecture(ARCHITECTURES[name])
    check_architecture(ARCHITECTURES[name], layers=2, hidden_size=17, embedding_size=4)


def weights_and_step(name):
    """A model of one layer with random weights, an input one-hot, a state, and the state after."""
    spec = ARCHITECTURES[name]
    network = build_model(
        spec, spec.config(hidden_size=H, dropout=0.0, recurrent_dropout=0.0), {}, 7
    ).network.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for values in network.parameters():
            values.normal_(0, 0.5)
    state = {one: torch.randn(1, 1, H) for one in network.initial_state(1)}
    with torch.no_grad():
        _, after = network(torch.tensor([[3]]), state)
    weights = {one.rpartition("_l")[0]: p.detach() for one, p in network.recurrence.layer.named_parameters()}
    x = weights["weight_ih"][:, 3] + weights["bias_ih"]
    u = weights["weight_hh"] @ state["hidden"][0, 0] + weights["bias_hh"] if "weight_hh" in weights else None
    return (
        weights,
        x.split(H),
        u.split(H) if u is not None else (),
        {k: v[0, 0] for k, v in state.items()},
        {k: v[0, 0] for k, v in after.items()},
    )


def test_minimal_gated_unit():
    _, (x_f, x_n), (u_f, u_n), state, after = weights_and_step("mgu")
    f = torch.sigmoid(x_f + u_f)
    n = torch.tanh(x_n + f * u_n)
    torch.testing.assert_close(after["hidden"], (1 - f) * state["hidden"] + f * n)


def test_minimal_rnn():
    _, (x_u, x_z), (u_u,), state, after = weights_and_step("minimal-rnn")
    u, z = torch.sigmoid(x_u + u_u), torch.tanh(x_z)
    torch.testing.assert_close(after["hidden"], u * state["hidden"] + (1 - u) * z)


def test_coupled_lstm():
    _, x, u, state, after = weights_and_step("lstm-coupled")
    f, g, o = (a + b for a, b in zip(x, u, strict=True))
    f = torch.sigmoid(f)
    cell = f * state["cell"] + (1 - f) * torch.tanh(g)
    torch.testing.assert_close(after["cell"], cell)
    torch.testing.assert_close(after["hidden"], torch.sigmoid(o) * torch.tanh(cell))


def test_peephole_lstm():
    w, x, u, state, after = weights_and_step("lstm-peephole")
    i, f, g, o = (a + b for a, b in zip(x, u, strict=True))
    cell = torch.sigmoid(f + w["forget_peephole"] * state["cell"]) * state["cell"]
    cell = cell + torch.sigmoid(i + w["input_peephole"] * state["cell"]) * torch.tanh(g)
    torch.testing.assert_close(after["cell"], cell)
    o = torch.sigmoid(o + w["output_peephole"] * cell)
    torch.testing.assert_close(after["hidden"], o * torch.tanh(cell))


def test_simple_recurrent_unit():
    w, (x, f, r, skip), _, state, after = weights_and_step("sru")
    f = torch.sigmoid(f + w["forget_scale"] * state["cell"])
    r = torch.sigmoid(r + w["reset_scale"] * state["cell"])
    cell = f * state["cell"] + (1 - f) * x
    torch.testing.assert_close(after["cell"], cell)
    torch.testing.assert_close(after["hidden"], r * cell + (1 - r) * skip)
