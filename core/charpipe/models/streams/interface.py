"""The interface that sampling needs of a model read token by token."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from charpipe.models.contract import State

Engine = Literal["compiled", "arrays", "plain"]


class Stream(Protocol):
    """A model reading one text, and its carried state."""

    def step(self, token: int) -> NDArray[np.float32]:
        """Read a token; returns the logits of the next one, [V]. The next step overwrites the array."""
        ...

    @property
    def state(self) -> State:
        """The carried state, with batch size 1."""
        ...


class Batch(Protocol):
    """A model reading B texts in parallel, and its carried state."""

    size: int
    """B"""

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read tokens [B]; returns the logits of the next ones, [B, V]. The next step may overwrite the array."""
        ...
