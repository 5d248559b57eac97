"""The carried state of a stream, as arrays or as PyTorch's tensors: a stream returns what it was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from charpipe.kernels.step.network import Array


def as_array(values: Any) -> Array:
    """The numbers of a tensor or an array as a contiguous array."""
    found: Array = np.ascontiguousarray(values if isinstance(values, np.ndarray) else values.detach().numpy())
    return found


def has_tensors(state: Mapping[str, Any]) -> bool:
    """Whether a state is made of PyTorch's tensors."""
    return not all(isinstance(values, np.ndarray) for values in state.values())


def as_given(arrays: Mapping[str, Array], tensors: bool) -> dict[str, Any]:
    """Arrays [layers, 1, H] as they are, or as tensors that share their memory."""
    if not tensors:
        return dict(arrays)
    import torch  # loaded already: the state that was given was made of its tensors

    return {name: torch.from_numpy(values) for name, values in arrays.items()}
