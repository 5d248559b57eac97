"""Weight initialization: the scheme that trained best here, and those of published programs and papers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHAR_RNN = 0.08
"""Bound of char-rnn's uniform first weights, biases included."""
MIN_CHAR_RNN = 0.01
"""Standard deviation of min-char-rnn's normal first weights."""


@torch.no_grad()
def initialise(
    layer: nn.Module,
    *,
    one_hot: bool,
    forget_gate: int | None = None,
    forget_bias: float = 1.0,
    how: str = "usual",
) -> None:
    """Initialize recurrent layers; `forget_gate` is the index of that gate among the layer's gates.

    usual: biases zero. Weights keep PyTorch's uniform(-1/sqrt(H), 1/sqrt(H)), except that those of one-hot characters
    are normal(0, 1), as an embedding's: a one-hot input selects a single weight, which is too small at the usual scale.
    orthogonal: the same, but each gate's recurrent matrix is orthogonal (Saxe, McClelland, Ganguli 2014).
    char-rnn: all uniform(-0.08, 0.08). min-char-rnn: 0.01 * normal(0, 1), biases zero, one of each unit's two fixed.
    In all of them the forget gate's bias is `forget_bias`, so that a new cell remembers (Jozefowicz, Zaremba, Sutskever
    2015).
    """
    for name, values in layer.named_parameters():
        if how == "char-rnn":
            values.uniform_(-CHAR_RNN, CHAR_RNN)
        elif name.startswith("bias"):
            values.zero_()
            if how == "min-char-rnn" and name.startswith("bias_hh"):
                values.requires_grad_(False)
        elif values.is_meta:
            continue  # without numbers; normal_ would import all of sympy for it
        elif how == "min-char-rnn":
            values.normal_(0.0, MIN_CHAR_RNN)
        elif name == "weight_ih_l0" and one_hot:
            values.normal_()
        elif name.startswith("weight_hh") and how == "orthogonal":
            _orthogonal(values, layer.hidden_size)  # type: ignore[arg-type]
    if forget_gate is not None:
        _remember(layer, forget_gate, forget_bias)


def _orthogonal(weights: Tensor, size: int) -> None:
    for gate in torch.split(weights, size):
        nn.init.orthogonal_(gate)


def _remember(layer: nn.Module, gate: int, bias: float) -> None:
    for name, values in layer.named_parameters():
        if name.startswith("bias_ih"):
            size: int = layer.hidden_size  # type: ignore[assignment]
            values[gate * size : (gate + 1) * size] = bias


@torch.no_grad()
def initialise_head(head: nn.Linear, how: str) -> None:
    """Initialize the softmax head; PyTorch's own initialization except for `char-rnn` and `min-char-rnn`."""
    if how == "char-rnn":
        for values in head.parameters():
            values.uniform_(-CHAR_RNN, CHAR_RNN)
    elif how == "min-char-rnn":
        head.weight.normal_(0.0, MIN_CHAR_RNN)
        head.bias.zero_()
