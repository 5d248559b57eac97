"""How many threads PyTorch gets, and when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charpipe.training.job import Job

WORTH_SHARING = 1_000_000
"""Products in a time step (lanes x parameters) from which on threads help; results are the same either way."""


@contextmanager
def threads_for_updates(job: Job) -> Iterator[None]:
    """One where the work is tiny, since waiting for each other would cost more than the work itself; and one where the
    engine has threads of its own: PyTorch's go on turning for a while after their work, in the way of those."""
    tiny = job.device.type == "cpu" and job.lanes.batch_size * job.model.parameters < WORTH_SHARING
    with _threads(1 if tiny or job.engine == "fast" else job.threads):
        yield


@contextmanager
def threads_for_looks(job: Job) -> Iterator[None]:
    """All of them, to score and to sample with between updates."""
    with _threads(job.threads):
        yield


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
