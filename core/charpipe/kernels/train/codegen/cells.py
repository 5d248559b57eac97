"""The recurrent cells between two products, forward and backward, for a vector register of units.

Names follow the equations of the plugins (`i f g o` of the LSTM, `r z n` of the GRU); the gradients are derived from
those by hand. `grad_x` is the gradient of the loss with respect to x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from charpipe.kernels.jit.values import Vector
from charpipe.kernels.train.codegen.activations import sigmoid, tanh

Vectors = tuple[Vector, ...]


@dataclass(frozen=True)
class Cell:
    """A recurrent cell with `gates` pre-activations (sums) a unit. The product with the inputs feeds `input_gates`,
    the product with the previous hidden units `hidden_gates`; both are indices of pre-activations.

    `state_names` are the tensors that it carries. With `has_carry`, the last of them is carried in float32 from step to
    step (c of the LSTM, h of the GRU), whatever the precision of the products.

    forward(pre, carry, precise) -> (saved, hidden, carry): as many vectors are saved for backward as there are gates.
    backward(saved, carry before, carry after, grad_hidden, grad_carry, precise) -> (grad_pre, grad_carry before).
    """

    name: str
    state_names: tuple[str, ...]
    gates: int
    input_gates: tuple[int, ...]
    hidden_gates: tuple[int, ...]
    has_carry: bool
    forward: Callable[..., tuple[Vectors, Vector, Vector]] = field(repr=False)
    backward: Callable[..., tuple[Vectors, Vector]] = field(repr=False)


def lstm_forward(pre: Vectors, c: Vector, precise: bool) -> tuple[Vectors, Vector, Vector]:
    """c' = f c + i g; h' = o tanh(c') (Hochreiter, Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""
    i, f, o = (sigmoid(pre[gate], precise) for gate in (0, 1, 3))
    g = tanh(pre[2], precise)
    after = f * c + i * g
    return (i, f, g, o), o * tanh(after, precise), after


def lstm_backward(
    saved: Vectors, c: Vector, after: Vector, grad_hidden: Vector, grad_carry: Vector, precise: bool
) -> tuple[Vectors, Vector]:
    """The gradients of `lstm_forward`: sigmoid' = s (1 - s), tanh' = 1 - tanh^2."""
    i, f, g, o = saved
    tanh_c = tanh(after, precise)
    grad_c = grad_carry + grad_hidden * o * (1.0 - tanh_c * tanh_c)
    grad_i = grad_c * g * i * (1.0 - i)
    grad_f = grad_c * c * f * (1.0 - f)
    grad_g = grad_c * i * (1.0 - g * g)
    grad_o = grad_hidden * tanh_c * o * (1.0 - o)
    return (grad_i, grad_f, grad_g, grad_o), grad_c * f


def gru_forward(pre: Vectors, h: Vector, precise: bool) -> tuple[Vectors, Vector, Vector]:
    """h' = (1 - z) n + z h; n = tanh(x + r u) (Cho et al. 2014, in PyTorch's form).

    x, of the inputs, is pre[2]; u, of the hidden units, is pre[3]: r multiplies u alone, so they are summed apart.
    """
    r, z = sigmoid(pre[0], precise), sigmoid(pre[1], precise)
    n = tanh(pre[2] + r * pre[3], precise)
    hidden = n + z * (h - n)
    return (r, z, n, pre[3]), hidden, hidden


def gru_backward(
    saved: Vectors, h: Vector, after: Vector, grad_hidden: Vector, grad_carry: Vector, precise: bool
) -> tuple[Vectors, Vector]:
    """The gradients of `gru_forward`. `grad_carry` is what reaches h directly, not through a product."""
    r, z, n, u = saved
    grad_h = grad_hidden + grad_carry
    grad_n = grad_h * (1.0 - z) * (1.0 - n * n)
    grad_z = grad_h * (h - n) * z * (1.0 - z)
    grad_r = grad_n * u * r * (1.0 - r)
    return (grad_r, grad_z, grad_n, grad_n * r), grad_h * z


def rnn_forward(pre: Vectors, carry: Vector, precise: bool) -> tuple[Vectors, Vector, Vector]:
    """h' = tanh(a) (Elman 1990)."""
    hidden = tanh(pre[0], precise)
    return (hidden,), hidden, hidden


def rnn_backward(
    saved: Vectors, carry: Vector, after: Vector, grad_hidden: Vector, grad_carry: Vector, precise: bool
) -> tuple[Vectors, Vector]:
    """The gradient of `rnn_forward`."""
    return (grad_hidden * (1.0 - saved[0] * saved[0]),), grad_carry


ALL = (0, 1, 2, 3)
CELLS: dict[type[Any], Cell] = {
    nn.LSTM: Cell("lstm", ("hidden", "cell"), 4, ALL, ALL, True, lstm_forward, lstm_backward),
    nn.GRU: Cell("gru", ("hidden",), 4, (0, 1, 2), (0, 1, 3), True, gru_forward, gru_backward),
    nn.RNN: Cell("rnn", ("hidden",), 1, (0,), (0,), False, rnn_forward, rnn_backward),
}
"""By PyTorch's layer; gates are in the order of its weights, i f g o and r z n."""
