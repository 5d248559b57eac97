"""Streams and batches over any predictor."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.models.contract import Predictor, State


class StepwiseStream:
    """Any predictor as a stream."""

    def __init__(self, predictor: Predictor, state: State) -> None:
        self._predictor, self._state = predictor, state

    def step(self, token: int) -> NDArray[np.float32]:
        logits, self._state = self._predictor.step(torch.tensor([token]), self._state)
        found: NDArray[np.float32] = logits[0].float().cpu().numpy()
        return found

    @property
    def state(self) -> State:
        return self._state


class StepwiseBatch:
    """Any predictor as a batch."""

    def __init__(self, predictor: Predictor, state: State) -> None:
        self._predictor, self._state = predictor, state
        self.size = next(iter(state.values())).shape[1]

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        logits, self._state = self._predictor.step(torch.from_numpy(tokens), self._state)
        found: NDArray[np.float32] = logits.float().cpu().numpy()
        return found
