"""The workers that train one model together: rank 0 decides, and all sum their gradients.

`Group` is one process by itself, which is the default; `process_group.py` connects several. Importing this module
imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

from charpipe.errors import UsageError
from charpipe.training.tree_sum import tree_sum

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from charpipe.training.orders import OrderFormat, UpdateOrder


class Command(IntEnum):
    """What the workers do next."""

    UPDATE = 1
    """Make an update."""
    MEASURE = 2
    """Make the following updates on a copy, which is thrown away."""
    TRAIN = 3
    """Make the following updates on the model again."""
    GATHER = 4
    """Send rank 0 the recurrent state, for a checkpoint."""
    END = 5
    """The training is over."""


class Group:
    """One process by itself, which computes all shards one after another."""

    rank, size = 0, 1
    stop_requested = False
    """Whether another worker was asked to stop."""
    in_step = True
    """Whether all workers await the next order: not where one failed in the middle of an update."""

    def check(self, shards: int) -> None:
        """Raise UsageError unless the workers can divide `shards` among themselves in equal parts."""
        if shards % self.size == 0:
            return
        workers = f"{self.size} workers"
        if shards == 1:
            raise UsageError(
                f"{workers} divide the shards of the batch among themselves, and there is only one; nothing was done; "
                f"add --set train.shards={self.size}, or start one process"
            )
        if self.size > shards:
            raise UsageError(
                f"{workers} are more than the {shards} shards (train.shards); nothing was done; start at most {shards}"
            )
        fitting = [str(count) for count in range(1, shards + 1) if shards % count == 0]
        raise UsageError(
            f"{shards} shards (train.shards) cannot be divided equally among {workers}; nothing was done; start "
            f"{', '.join(fitting[:-1])} or {fitting[-1]}"
        )

    def place(self, device: torch.device) -> torch.device:
        """The device of this worker, where `device` is asked for."""
        return device

    def start(self, orders: OrderFormat, device: torch.device) -> None:
        """Start a training on devices of this type; every worker does so. Raises LostWorkerError."""

    def broadcast(self, data: bytes = b"") -> bytes:
        """The bytes of rank 0, on every worker. Raises LostWorkerError."""
        return data

    def gather(self, data: bytes) -> list[bytes]:
        """The bytes of every worker, all of one length, on every worker. Raises LostWorkerError."""
        return [data]

    def give(self, command: Command, update: UpdateOrder | None = None) -> None:
        """Rank 0: order the other workers to do what it does next. Raises LostWorkerError."""

    def end(self) -> None:
        """Rank 0: tell the other workers that no training follows, and leave the group."""

    def sum(self, shards: int, gradient: Callable[[int], Tensor]) -> Tensor:
        """The sum of the vectors `gradient(number)` of all shards, in the order of their tree. Each shard's is computed
        by one worker, and every worker gets the sum. Raises LostWorkerError."""
        return tree_sum((0, shards), lambda node: gradient(node[0]) if node[1] - node[0] == 1 else None)


ALONE = Group()


def most_workers(most: int, shards: int) -> int:
    """The largest number of workers, of `most` that there are, among whom the shards can be divided equally."""
    return max(count for count in range(1, min(most, shards) + 1) if shards % count == 0)
