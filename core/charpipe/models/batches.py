"""Many streams stepped together: what sampling asks for when it writes several texts at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.models.contract import Predictor, State


class Batch(Protocol):
    """A model that reads B texts side by side, and the state it carries."""

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read tokens [B]; the logits of what comes next, [B, V]. May be overwritten by the next step."""
        ...


class StepwiseBatch:
    """Any predictor as a batch."""

    def __init__(self, predictor: Predictor, state: State) -> None:
        self._predictor, self._state = predictor, state

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        logits, self._state = self._predictor.step(torch.from_numpy(tokens), self._state)
        found: NDArray[np.float32] = logits.float().cpu().numpy()
        return found


def open_batch(predictor: Predictor, state: State, precision: str = "float32") -> Batch:
    """The quickest batch there is for this predictor in this precision, going on from `state`."""
    return StepwiseBatch(predictor, state)
