"""What sampling asks of a model that is read token by token."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from charpipe.models.contract import State

Engine = Literal["compiled", "arrays", "plain"]


class Stream(Protocol):
    """A model that reads one text, and the state it carries."""

    def step(self, token: int) -> NDArray[np.float32]:
        """Read a token; the logits of the next one, [V]. The array is overwritten by the next step."""
        ...

    @property
    def state(self) -> State:
        """The carried state, with a batch of one."""
        ...


class Batch(Protocol):
    """A model that reads B texts side by side, and the state it carries."""

    size: int
    """B"""

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read tokens [B]; the logits of the next ones, [B, V]. The array may be overwritten by the next step."""
        ...
