"""The presets do what the programs they are named after do, number for number."""

import numpy as np
import pytest
import torch
from torch import nn

from charpipe.config import load_config
from charpipe.models import build_model
from charpipe.training import TrainConfig
from charpipe.training.initialization import initialize
from charpipe.training.optimizers import build_optimizer
from charpipe.training.update import build_update
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from charpipe_rnn import charpipe_architectures as rnn

ARCHITECTURES = {item.name: item for hook in (rnn, lstm, gru) for item in hook()}
TEXT = "the quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 8


def settled(preset, arch, **changes):
    """The preset's settings of training and of an architecture."""
    config = load_config(preset=preset, settings={f"train.{key}": value for key, value in changes.items()})
    return config.config.train, ARCHITECTURES[arch].config(**config.config.architectures[arch])


def min_char_rnn(weights, memory, inputs, targets, hidden):
    """A step as Karpathy's program makes it, in numpy: the mean loss before it, and the hidden state after."""
    Wxh, Whh, Why, bh, by = weights
    hs, ps = [hidden], []
    for i in inputs:
        hs.append(np.tanh(Wxh[:, i] + Whh @ hs[-1] + bh))
        y = Why @ hs[-1] + by
        ps.append(np.exp(y - y.max()) / np.exp(y - y.max()).sum())
    gradients = [np.zeros_like(each) for each in weights]
    after = np.zeros_like(hidden)
    for t in reversed(range(len(inputs))):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        raw = (Why.T @ dy + after) * (1 - hs[t + 1] ** 2)
        gradients[0][:, inputs[t]] += raw
        gradients[1] += np.outer(raw, hs[t])
        gradients[2] += np.outer(dy, hs[t + 1])
        gradients[3] += raw
        gradients[4] += dy
        after = Whh.T @ raw
    for values, gradient, squares in zip(weights, gradients, memory, strict=True):
        gradient = gradient.clip(-5, 5)
        squares += gradient**2
        values -= 0.1 * gradient / np.sqrt(squares + 1e-8)
    return -np.mean([np.log(p[target]) for p, target in zip(ps, targets, strict=True)]), hs[-1]


@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_min_char_rnn_makes_the_steps_of_its_112_lines(engine):
    """Four of them: its first updates are so large that roundings grow tenfold with each."""
    train, config = settled("min-char-rnn", "rnn", steps=1000, device="cpu", engine=engine)
    letters = sorted(set(TEXT))
    tokens = np.array([letters.index(letter) for letter in TEXT], dtype=np.uint8)
    model = build_model(ARCHITECTURES["rnn"], config, {}, len(letters))
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")
    layer, head = model.network.recurrence.layer, model.network.head
    Wxh, Whh, bh = (layer.get_parameter(name).detach().double().numpy().copy() for name in names)
    Why, by = (values.detach().double().numpy().copy() for values in (head.weight, head.bias))
    weights = [Wxh, Whh, Why, bh, by]
    memory, hidden = [np.zeros_like(each) for each in weights], np.zeros(100)
    setup, state = initialize(model, tokens, train)
    batches, update = setup.batches, build_update(setup, state)
    assert (batches.batch_size, batches.window) == (1, 25)
    for step in range(4):
        inputs, targets = (ids[:, 0].numpy() for ids in batches.read(step))
        if batches.starts_epoch(step):
            hidden = np.zeros(100)
        expected, hidden = min_char_rnn(weights, memory, inputs, targets, hidden)
        assert update(step, train.learning_rate)["loss"].item() == pytest.approx(expected, rel=1e-3)
    np.testing.assert_allclose(head.bias.detach().numpy(), by, atol=5e-3)
    assert layer.bias_hh_l0.eq(0).all()


def test_char_rnn_has_its_defaults():
    train, config = settled("char-rnn", "lstm")
    assert (train.batch_size, train.window, train.max_epochs) == (50, 50, 50)
    assert (train.optimizer, train.learning_rate, train.decay, train.momentum) == ("rmsprop", 2e-3, 0.95, 0.0)
    assert (train.schedule, train.epoch_decay, train.epoch_decay_after) == ("by-epoch", 0.97, 10)
    assert (train.clip, train.clip_by, train.loss, train.weight_decay) == (5, "value", "sum", 0)
    assert (config.layers, config.hidden_size, config.dropout) == (2, 128, 0)
    assert (config.initialisation, config.forget_bias) == ("char-rnn", 1.0)


@pytest.mark.parametrize("name", ["char-rnn", "paper-2015", "best"])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_they_train_every_architecture(name, arch):
    train, config = settled(name, arch, steps=2, device="cpu", batch_size=2, window=5)
    model = build_model(ARCHITECTURES[arch], config.model_copy(update={"hidden_size": 8}), {}, 30)
    update = build_update(*initialize(model, np.arange(200, dtype=np.uint8) % 30, train))
    assert update(0, train.learning_rate)["loss"].item() == pytest.approx(np.log(30), rel=0.05)


def test_fast_is_what_charpipe_does_unasked():
    defaults = load_config().config.train
    train, config = settled("fast", "lstm")
    assert train == defaults
    assert config == ARCHITECTURES["lstm"].config()


def test_best_averages_and_waits():
    train, config = settled("best", "lstm")
    assert (train.average, train.patience, train.max_epochs) == (0.999, 10, 40)
    assert (config.hidden_size, config.dropout, config.recurrent_dropout) == (1024, 0.5, 0.4)


def test_rmsprop_is_torch7s():
    """mean = decay * mean + (1 - decay) * g^2; weights -= rate * g / (sqrt(mean) + 1e-8); no momentum."""
    network = nn.Linear(3, 1, bias=False)
    before = network.weight.detach().clone()
    optimizer = build_optimizer(network, TrainConfig(optimizer="rmsprop", learning_rate=0.1, decay=0.9))
    mean = torch.zeros(1, 3)
    for gradient in (torch.tensor([[1.0, -2.0, 1e-9]]), torch.tensor([[3.0, 0.5, 0.0]])):
        network.weight.grad = gradient.clone()
        optimizer.step()
        mean = 0.9 * mean + 0.1 * gradient**2
        before -= 0.1 * gradient / (mean.sqrt() + 1e-8)
    torch.testing.assert_close(network.weight.detach(), before)


def test_adagrad_adds_under_the_root_as_min_char_rnn_does():
    network = nn.Linear(2, 1, bias=False)
    before = network.weight.detach().clone()
    optimizer = build_optimizer(network, TrainConfig(optimizer="adagrad", learning_rate=0.1))
    network.weight.grad = torch.tensor([[1e-4, 0.0]])
    optimizer.step()
    expected = before - 0.1 * torch.tensor([[1e-4 / (2e-8) ** 0.5, 0.0]])
    torch.testing.assert_close(network.weight.detach(), expected)


def test_summed_losses_have_gradients_as_many_times_larger(new_model, tokens, settings):
    found = {}
    for loss in ("mean", "sum"):
        chosen = settings(loss=loss, precision="float32", clip=0.0)
        setup, state = initialize(new_model(dropout=0), tokens, chosen)
        measured = build_update(setup, state)(0, 1e-9)
        found[loss] = measured["loss"], state.network.head.weight.grad
    assert found["sum"][0] == found["mean"][0]
    torch.testing.assert_close(found["sum"][1], found["mean"][1] * 8)
