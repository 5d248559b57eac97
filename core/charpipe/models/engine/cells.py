"""The three recurrent cells as the sweep sees them: their kernels, and how their gates lie side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from charpipe.models.engine import kernels

Kernel = Callable[..., None]


@dataclass(frozen=True)
class Cell:
    """`width` blocks of H numbers are kept a lane and step. The recurrent product is written to blocks `products`,
    and the gradient of what inputs add to the gates is found in blocks `inputs`; `order` is the order of the input
    weights' blocks there. `names` are the carried tensors, the last of them the float32 memory."""

    names: tuple[str, ...]
    width: int
    products: tuple[int, int]
    inputs: tuple[int, int]
    order: tuple[int, ...]
    forward: Kernel
    backward: Kernel


CELLS: dict[type[Any], Cell] = {
    nn.LSTM: Cell(
        ("hidden", "cell"),
        4,
        (0, 4),
        (0, 4),
        (0, 1, 2, 3),
        kernels.lstm_forward,
        kernels.lstm_backward,
    ),
    # the input's share of n is apart from the recurrence's, which the reset gate multiplies
    nn.GRU: Cell(("hidden",), 4, (1, 4), (0, 3), (2, 0, 1), kernels.gru_forward, kernels.gru_backward),
    nn.RNN: Cell(("hidden",), 1, (0, 1), (0, 1), (0,), kernels.rnn_forward, kernels.rnn_backward),
}
