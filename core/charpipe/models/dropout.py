"""Dropout over a window: of units anew at each step, or of the same ones throughout."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def drop(values: Tensor, share: float, training: bool, *, locked: bool = False) -> Tensor:
    """values [T, B, H] without a share of its units, the others larger by as much. `locked`: each lane lacks the same
    ones at every step (Gal, Ghahramani 2016; the name is Merity, Keskar, Socher's of 2018)."""
    if not (locked and training and share):
        return functional.dropout(values, share, training)
    return values * functional.dropout(values.new_ones(values.shape[1:]), share)
