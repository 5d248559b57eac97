"""`torchrun -m charpipe run ...`: the process of rank 0 runs the pipeline, the others join its trainings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from charpipe.plugins.registry import Registry
from charpipe.training.group import ALONE, Group
from charpipe.training.torchrun import connect, started_by_torchrun


@contextmanager
def rank_0() -> Iterator[Group]:
    """The group that this process leads: itself alone, unless torchrun started several."""
    group = connect() if started_by_torchrun() else ALONE
    try:
        yield group
    finally:
        group.end()


def join(registry: Registry) -> None:
    """Join the trainings of rank 0 until it ends."""
    from charpipe.cli.signals import until_done  # imports the stages, and so torch
    from charpipe.stages.context import ignore
    from charpipe.stages.stop import Stop
    from charpipe.stages.workers import join_trainings

    stop, group = Stop(), connect()
    until_done(lambda: join_trainings(group, registry, stop), stop, ignore, twice=False)
