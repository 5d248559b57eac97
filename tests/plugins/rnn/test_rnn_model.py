"""The vanilla network and its gradients against backpropagation through time written out in numpy."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from charpipe.models import build_model
from charpipe.testing import check_architecture
from charpipe_rnn import charpipe_architectures

(RNN,) = charpipe_architectures()


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def backpropagation_through_time(weights, inputs, targets, hidden):
    """Loss and gradients of one lane, as in min-char-rnn: one layer, float64."""
    w_xh, w_hh, b_h, w_hy, b_y = weights
    states, loss, probabilities = [hidden], 0.0, []
    for token, target in zip(inputs, targets, strict=True):
        states.append(np.tanh(w_xh[:, token] + w_hh @ states[-1] + b_h))
        probabilities.append(softmax(w_hy @ states[-1] + b_y))
        loss -= np.log(probabilities[-1][target]) / len(inputs)
    grads = [np.zeros_like(w) for w in weights]
    later = np.zeros_like(hidden)
    for step in reversed(range(len(inputs))):
        scores = probabilities[step].copy()
        scores[targets[step]] -= 1
        scores /= len(inputs)
        grads[3] += np.outer(scores, states[step + 1])
        grads[4] += scores
        inside = (1 - states[step + 1] ** 2) * (w_hy.T @ scores + later)
        grads[0][:, inputs[step]] += inside
        grads[1] += np.outer(inside, states[step])
        grads[2] += inside
        later = w_hh.T @ inside
    return loss, grads, states[-1]


def test_loss_gradients_and_state_equal_backpropagation_by_hand():
    network = build_model(RNN, RNN.config(hidden_size=7), {}, 5, seed=3).network.double()
    layer = network.recurrence.layer
    names = ["recurrence.layer.weight_ih_l0", "recurrence.layer.weight_hh_l0", "recurrence.layer.bias_ih_l0"]
    names += ["head.weight", "head.bias"]
    weights = [network.get_parameter(name).detach().numpy() for name in names]
    rng = np.random.default_rng(0)
    text, hidden = rng.integers(0, 5, 13), rng.normal(size=7) * 0.5
    expected_loss, expected, last = backpropagation_through_time(weights, text[:-1], text[1:], hidden)

    ids = torch.from_numpy(text)[:, None]
    state = {"hidden": torch.from_numpy(hidden)[None, None]}
    inputs = network._look_up(ids[:-1])
    outputs, after = layer(inputs, state["hidden"])
    loss = functional.cross_entropy(network.head(outputs).flatten(0, 1), ids[1:].flatten())
    loss.backward()

    assert loss.item() == pytest.approx(expected_loss, rel=1e-12)
    np.testing.assert_allclose(after[0, 0].detach().numpy(), last, rtol=1e-12)
    for name, gradient in zip(names, expected, strict=True):
        found = network.get_parameter(name).grad.numpy()
        np.testing.assert_allclose(found, gradient, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("settings", [{}, {"layers": 3}, {"embedding_size": 8, "tie_weights": True}])
def test_keeps_the_contract(settings):
    check_architecture(RNN, **settings)
