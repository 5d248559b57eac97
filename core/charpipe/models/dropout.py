"""Dropout over a window: with a new mask at each step, or the same mask throughout."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def drop(values: Tensor, share: float, training: bool, *, locked: bool = False) -> Tensor:
    """Dropout of values [T, B, H], the kept units scaled up. `locked`: each stream has the same mask
    at every step (Gal, Ghahramani 2016; the name is Merity, Keskar, Socher's of 2018)."""
    if not (locked and training and share):
        return functional.dropout(values, share, training)
    return values * functional.dropout(values.new_ones(values.shape[1:]), share)
