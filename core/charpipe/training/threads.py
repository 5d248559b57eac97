"""How many threads PyTorch uses for updates and for evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charpipe.training.setup import Setup

MIN_PRODUCTS = 1_000_000
"""Multiplications in a time step (batch size x parameters) from which on threads help. Results do not depend on it."""


@contextmanager
def threads_for_updates(setup: Setup) -> Iterator[None]:
    """One thread where an update is so small that synchronization would cost more than the work, and where the engine
    has its own threads: PyTorch's spin for a while after their work, which slows these down."""
    products = setup.batches.batch_size * setup.model.parameters
    small = setup.device.type == "cpu" and products < MIN_PRODUCTS
    with _threads(1 if small or setup.engine == "fast" else setup.threads):
        yield


@contextmanager
def threads_for_evaluation(setup: Setup) -> Iterator[None]:
    """All threads, to evaluate and to sample between updates."""
    with _threads(setup.threads):
        yield


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
