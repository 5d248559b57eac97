"""A stream stepped by numpy: for a single token, PyTorch spends most of a step on dispatch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.kernels.modules import NetworkModules
from charpipe.kernels.step.weights import as_array
from charpipe.models.contract import State
from charpipe.models.streams.numpy_step import NumpyStep


class ArrayStream:
    """Layers with known equations inside the shell, stepped in float32 by numpy.

    The logits equal those of the plain path up to rounding (1e-6 or so), which a network with very large recurrent
    weights may amplify. The weights are copied: a stream does not see later updates.
    """

    def __init__(self, modules: NetworkModules, state: State) -> None:
        carried = {name: as_array(state[name][:, 0]).copy() for name in modules.state_names}
        self._network = NumpyStep(modules, carried)
        self.step = self._network.step

    step: Callable[[int], NDArray[np.float32]]

    @property
    def state(self) -> State:
        return {name: torch.from_numpy(value)[:, None] for name, value in self._network.state().items()}
