"""The product that a sweep repeats at every time step, with weights that stay the same through the window."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WORTH_PACKING = 1 << 16
"""Weights from which on laying them out once for the whole window beats doing it at every step, as `torch.mm` does."""


def multiplier(weights: Tensor, lanes: int) -> Callable[[Tensor], Tensor]:
    """x [lanes or so, I] -> x @ weights.T [lanes or so, O], for weights [O, I]."""
    if weights.numel() > WORTH_PACKING and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(weights.contiguous(), lanes)
            return lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
        except (AttributeError, RuntimeError):  # not in every torch, nor on every CPU
            pass
    turned = weights.t()
    return lambda x: torch.mm(x, turned)
