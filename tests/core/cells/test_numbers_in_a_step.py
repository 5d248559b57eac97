"""A number beside a tensor in a cell's step stays on the tensor's device: no copy from the host, which a CUDA graph
cannot capture."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from charpipe.plugin import maximum, minimum, where


class Operations(TorchDispatchMode):
    """Collects the names of the operations that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.name())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda x: maximum(x, 0.5), [0.5, 2.0]),
        (lambda x: minimum(1.5, x), [-1.0, 1.5]),
        (lambda x: where(x > 0, 1, x), [-1.0, 1.0]),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_number_is_filled_in_and_not_copied(step, expected, dtype):
    x = torch.tensor([-1.0, 2.0], dtype=dtype)
    with Operations() as operations:
        found = step(x)
    assert (found.tolist(), found.dtype) == (expected, dtype)
    assert not {"aten::lift_fresh", "aten::_to_copy", "aten::copy_"} & set(operations.names), operations.names
