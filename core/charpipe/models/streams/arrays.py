"""A stream stepped by numpy: for a single token, PyTorch spends most of a step on dispatch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.kernels.step.network import StepNetwork
from charpipe.kernels.step.states import as_array, as_given, has_tensors
from charpipe.models.streams.numpy_step import NumpyStep

MAX_TABLE = 1 << 26
"""Numbers of the input table (tokens times gates); with a larger one the plain path is taken."""


class ArrayStream:
    """Layers with known equations inside the shell, stepped in float32 by numpy.

    The logits equal those of the plain path up to rounding (1e-6 or so), which a network with very large recurrent
    weights may amplify. The weights are copied: a stream does not see later updates.
    """

    def __init__(self, modules: StepNetwork, state: Mapping[str, Any]) -> None:
        carried = {name: as_array(state[name][:, 0]).copy() for name in modules.state_names}
        self._tensors = has_tensors(state)
        self._network = NumpyStep(modules, carried)
        self.step = self._network.step
        if modules.end_token is not None:
            self.step = self._step_in_documents(modules.end_token)

    step: Callable[[int], NDArray[np.float32]]

    def _step_in_documents(self, end_token: int) -> Callable[[int], NDArray[np.float32]]:
        step, carried = self._network.step, [self._network.hidden, *self._network.others]

        def step_or_begin(token: int) -> NDArray[np.float32]:
            if token == end_token:
                for values in carried:
                    values.fill(0)
            return step(token)

        return step_or_begin

    @property
    def state(self) -> dict[str, Any]:
        """A copy of the carried state; tensors where the first state was made of tensors."""
        carried = {name: values[:, None] for name, values in self._network.state().items()}
        return as_given(carried, self._tensors)
