"""A stream stepped by numpy: for a single token, PyTorch spends most of a step on dispatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.kernels.modules import NetworkModules
from charpipe.kernels.step.weights import as_array, input_table
from charpipe.models.contract import State
from charpipe.models.streams.array_cells import CELLS, Array, blocks


class ArrayStream:
    """PyTorch's RNN, GRU or LSTM inside the shell, stepped in float32 by numpy.

    The logits equal those of the plain path up to rounding (1e-6 or so), which a network with very large recurrent
    weights may amplify. The weights are copied: a stream does not see later updates.
    """

    def __init__(self, modules: NetworkModules, state: State) -> None:
        carried = {name: as_array(state[name][:, 0]).copy() for name in modules.state_names}
        cell = CELLS[type(modules.layer)](modules.layer, carried)
        self._cell = cell
        weights = as_array(modules.head.weight.detach().T) * np.float32(cell.scale)
        head = weights, as_array(modules.head.bias)
        self.step = _step_function(cell.steps(input_table(modules)), cell.outputs, head)

    step: Callable[[int], NDArray[np.float32]]

    @property
    def state(self) -> State:
        return {name: torch.from_numpy(value)[:, None] for name, value in self._cell.state().items()}


def _step_function(
    layers: list[Callable[[int], Any]], outputs: Array, head: tuple[Array, Array]
) -> Callable[[int], Array]:
    weights, bias = head
    logits = np.empty_like(bias)
    pieces = blocks(weights, logits)
    dot, add = np.dot, np.add

    def step(token: int) -> Array:
        for layer in layers:
            layer(token)
        for piece, part in pieces:
            dot(outputs, piece, out=part)
        return add(logits, bias, out=logits)

    return step
