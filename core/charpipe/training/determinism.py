"""Deterministic training on CUDA, whose fastest kernels add in an order that differs from run to run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charpipe.config.settings.training import TrainConfig

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def determinism(settings: TrainConfig) -> Iterator[None]:
    """With `train.deterministic`, let PyTorch use deterministic kernels only; it raises where an operation has none.

    cuBLAS reads the size of its workspace when CUDA starts, so this comes before the first product. On a CPU
    training is deterministic in any case.
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
