"""The same numbers every time on CUDA, where the fastest kernels add up in any order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charpipe.training.settings import TrainConfig

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def determinism(settings: TrainConfig) -> Iterator[None]:
    """With `deterministic`, PyTorch takes only kernels that repeat themselves, and says which operation has none.

    cuBLAS reads its workspace's size when CUDA starts, so this comes before the first product. A CPU repeats itself in
    any case.
    """
    if not settings.deterministic:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
