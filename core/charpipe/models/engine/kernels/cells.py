"""The three recurrent cells between two products, forward and back, for a register full of units.

Names follow the equations of the plugins; the gradients were derived from those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from charpipe.models.engine.kernels.code import Numbers, Vector
from charpipe.models.engine.kernels.formulas import sigmoid, tanh


@dataclass(frozen=True)
class Cell:
    """What a cell is made of, `sums` numbers a unit: those of `from_inputs` hold what its inputs add, those of
    `from_hidden` what the hidden units before do. `names` are the carried tensors; `remembers`: one of them is memory
    in float32, the last.

    forward(sums, memory, exact) -> (kept, hidden, memory), where as many are kept as there are sums;
    backward(kept, memory before, memory after, gradient of hidden, gradient carried, exact) -> (gradients of the sums,
    gradient to carry on).
    """

    name: str
    names: tuple[str, ...]
    sums: int
    from_inputs: tuple[int, ...]
    from_hidden: tuple[int, ...]
    remembers: bool
    forward: Callable[..., tuple[Numbers, Vector, Vector]] = field(repr=False)
    backward: Callable[..., tuple[Numbers, Vector]] = field(repr=False)


def lstm_forward(sums: Numbers, before: Vector, exact: bool) -> tuple[Numbers, Vector, Vector]:
    """c = f c + i g; h = o tanh(c)."""
    i, f, o = (sigmoid(sums[gate], exact) for gate in (0, 1, 3))
    g = tanh(sums[2], exact)
    after = f * before + i * g
    return (i, f, g, o), o * tanh(after, exact), after


def lstm_backward(
    kept: Numbers, before: Vector, after: Vector, gradient: Vector, carried: Vector, exact: bool
) -> tuple[Numbers, Vector]:
    """The way back through that."""
    i, f, g, o = kept
    bent = tanh(after, exact)
    of_cell = carried + gradient * o * (1.0 - bent * bent)
    of_i = of_cell * g * i * (1.0 - i)
    of_f = of_cell * before * f * (1.0 - f)
    of_g = of_cell * i * (1.0 - g * g)
    of_o = gradient * bent * o * (1.0 - o)
    return (of_i, of_f, of_g, of_o), of_cell * f


def gru_forward(sums: Numbers, before: Vector, exact: bool) -> tuple[Numbers, Vector, Vector]:
    """h = (1 - z) n + z h; n = tanh(x + r p), with p what comes of the hidden units."""
    r, z = sigmoid(sums[0], exact), sigmoid(sums[1], exact)
    n = tanh(sums[2] + r * sums[3], exact)
    hidden = n + z * (before - n)
    return (r, z, n, sums[3]), hidden, hidden


def gru_backward(
    kept: Numbers, before: Vector, after: Vector, gradient: Vector, carried: Vector, exact: bool
) -> tuple[Numbers, Vector]:
    """The way back through that."""
    r, z, n, product = kept
    gradient = gradient + carried
    of_n = gradient * (1.0 - z) * (1.0 - n * n)
    of_z = gradient * (before - n) * z * (1.0 - z)
    of_r = of_n * product * r * (1.0 - r)
    return (of_r, of_z, of_n, of_n * r), gradient * z


def rnn_forward(sums: Numbers, before: Vector, exact: bool) -> tuple[Numbers, Vector, Vector]:
    """h = tanh(x + p)."""
    hidden = tanh(sums[0], exact)
    return (hidden,), hidden, hidden


def rnn_backward(
    kept: Numbers, before: Vector, after: Vector, gradient: Vector, carried: Vector, exact: bool
) -> tuple[Numbers, Vector]:
    """The way back through that."""
    return (gradient * (1.0 - kept[0] * kept[0]),), carried


EVERY = (0, 1, 2, 3)
CELLS: dict[type[Any], Cell] = {
    nn.LSTM: Cell("lstm", ("hidden", "cell"), 4, EVERY, EVERY, True, lstm_forward, lstm_backward),
    # the input's share of n is apart from the hidden units', which the reset gate multiplies
    nn.GRU: Cell("gru", ("hidden",), 4, (0, 1, 2), (0, 1, 3), True, gru_forward, gru_backward),
    nn.RNN: Cell("rnn", ("hidden",), 1, (0,), (0,), False, rnn_forward, rnn_backward),
}
