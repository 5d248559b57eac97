"""The units of any model: the values of its carried state, layer by layer, named after the state's tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charpipe.models import Predictor, State

MAX_VALUES = 1 << 15
"""Maximum number of units inspected; of a model with more (for example with a matrix memory), the first ones."""


@dataclass(frozen=True)
class Group:
    """The units of one layer of one state tensor: columns `first` to `first + size` of a recording.

    Unit n is `state[tensor][layer, :, n]`, with further dimensions flattened.
    """

    tensor: str
    layer: int
    size: int
    first: int

    @property
    def name(self) -> str:
        """`cell[0]`."""
        return f"{self.tensor}[{self.layer}]"


@dataclass(frozen=True)
class Unit:
    """A unit, by its position in the state."""

    tensor: str
    layer: int
    number: int

    @property
    def name(self) -> str:
        """`cell[0] 317`."""
        return f"{self.tensor}[{self.layer}] {self.number}"


def groups(predictor: Predictor) -> tuple[Group, ...]:
    """The groups of a model's units; empty if its state has no real numbers, as in a count-based model."""
    found, first = [], 0
    for tensor, layer, values in _layers(predictor.initial_state(1)):
        size = min(values[0].numel(), MAX_VALUES - first)
        if size > 0:
            found.append(Group(tensor, layer, size, first))
            first += size
    return tuple(found)


def count(groups: Sequence[Group]) -> int:
    """Their total number of units."""
    return sum(group.size for group in groups)


def unit_at(groups: Sequence[Group], column: int) -> Unit:
    """The unit in a column of a recording."""
    group = next(one for one in groups if column < one.first + one.size)
    return Unit(group.tensor, group.layer, column - group.first)


def read_state(state: State) -> NDArray[np.float32]:
    """The current activations, float32 [B, units], in the order of `groups`."""
    parts = [values.reshape(len(values), -1).float() for _, _, values in _layers(state)]
    joined = torch.cat(parts, 1) if parts else torch.zeros(0, 0)
    found: NDArray[Any] = joined[:, :MAX_VALUES].detach().cpu().numpy()
    return found


def _layers(state: State) -> Iterator[tuple[str, int, Tensor]]:
    """Yield each layer of each real-valued tensor, with the batch in dimension 0."""
    for name, values in state.items():
        if values.is_floating_point() and values.dim() >= 2:
            for layer, part in enumerate(values):
                yield name, layer, part
