"""How many threads a training gets: for a tiny model, waiting for each other costs more than the work itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charpipe.training.job import Job

WORTH_SHARING = 1_000_000
"""Products in a time step (lanes x parameters) from which on threads help; results are the same either way."""


@contextmanager
def fitting_threads(job: Job) -> Iterator[None]:
    """One thread where the work is tiny, torch's own number otherwise and afterwards."""
    before = torch.get_num_threads()
    tiny = job.device.type == "cpu" and job.lanes.batch_size * job.model.parameters < WORTH_SHARING
    if tiny:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if tiny:
            torch.set_num_threads(before)
