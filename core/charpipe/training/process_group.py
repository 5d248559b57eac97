"""Several workers as a group: PyTorch's process groups, gloo for CPUs and orders, NCCL for gradients on CUDA.

W workers divide G shards; worker r has the shards from r * G / W on. To sum their gradients, vectors of P numbers:

    1. each worker adds what it can by itself: the largest nodes of the tree within its shards, mostly one
    2. all to all: worker r gets the r-th of W equal slices of every node
    3. each worker adds its slice of all nodes, in the tree's order
    4. all gather: every worker gets every slice of the sum

So each worker sends about 2 P numbers, whatever W is, and the bits of the sum do not depend on W.

Nothing is pickled: orders are integers, jobs are JSON, tensors are safetensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from charpipe.errors import UsageError
from charpipe.training.errors import LostWorkerError
from charpipe.training.group import Command, Group
from charpipe.training.orders import STOP, OrderFormat, UpdateOrder
from charpipe.training.tree_sum import Node, nodes_within, tree_sum

ANSWER = timedelta(minutes=3)
"""How long a worker may take to answer in the middle of an update: it may have kernels to compile first."""
IDLE = timedelta(days=30)
"""How long a worker waits for the next order: while rank 0 fetches a corpus, evaluates, samples. A rank 0 that dies
closes its connection."""


class ProcessGroup(Group):
    """This process as one of several that were started together, by torchrun or by Ray Train."""

    def __init__(self, local_rank: int = 0, members: int | None = None) -> None:
        """Connect to the other workers, as the environment of this process says. Every worker must do so, or, where
        there are more than `members`, those of the first ranks."""
        with _talking("connect"):
            if not dist.is_initialized():
                dist.init_process_group("gloo", timeout=IDLE)
            self.rank, self._local_rank = dist.get_rank(), local_rank
            self.size = dist.get_world_size() if members is None else members
            self._orders = self._subgroup("gloo", IDLE)
            self._gradients = {"cpu": self._subgroup("gloo", ANSWER)}
        self.orders = OrderFormat(1, 1)
        """Of the current training."""

    def _subgroup(self, backend: str, timeout: timedelta) -> Any:
        ranks = list(range(self.size))
        return dist.new_group(ranks, backend=backend, timeout=timeout, use_local_synchronization=True)

    def place(self, device: torch.device) -> torch.device:
        """On CUDA a device for each worker of a machine. Raises UsageError for a device that workers cannot share."""
        if device.type == "cpu":
            return device
        if device.type != "cuda":
            raise UsageError(
                f"several workers train on CPUs or CUDA devices, not on {device.type}; nothing was done; "
                "add --device cpu"
            )
        own = torch.device("cuda", self._local_rank) if device.index is None else device
        torch.cuda.set_device(own)
        return own

    def start(self, orders: OrderFormat, device: torch.device) -> None:
        self.orders, self.stop_requested = orders, False
        self._connect_devices(device)

    def _connect_devices(self, device: torch.device) -> None:
        if device.type not in self._gradients:
            with _talking("connect the devices"):
                self._gradients[device.type] = self._subgroup("nccl", ANSWER)

    # --- what rank 0 says ---

    def broadcast(self, data: bytes = b"") -> bytes:
        with _talking("start"):
            size = torch.tensor([len(data)])
            dist.broadcast(size, 0, group=self._orders)
            values = torch.empty(int(size), dtype=torch.uint8)
            if self.rank == 0 and data:
                values.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
            if len(values):
                dist.broadcast(values, 0, group=self._orders)
            return values.numpy().tobytes()

    def give(self, command: Command, update: UpdateOrder | None = None) -> None:
        vector = self._sum_orders(self.orders.write(command, update))
        self.stop_requested = self.stop_requested or bool(vector[STOP])

    def take(self, stop: bool) -> tuple[Command, UpdateOrder]:
        """The next order of rank 0, with the request to `stop` if this worker was asked to."""
        vector = self.orders.empty()
        vector[STOP] = int(stop)
        return self.orders.read(self._sum_orders(vector))

    def _sum_orders(self, vector: Tensor) -> Tensor:
        """Rank 0 waits for the others no longer than ANSWER."""
        with _talking("agree on the next step"):
            work = dist.all_reduce(vector, group=self._orders, async_op=True)
            assert work is not None
            work.wait(ANSWER) if self.rank == 0 else work.wait()
        return vector

    def gather(self, data: bytes) -> list[bytes]:
        with _talking("gather"):
            mine = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            found = [torch.empty_like(mine) for _ in range(self.size)]
            dist.all_gather(found, mine, group=self._gradients["cpu"])
            return [each.numpy().tobytes() for each in found]

    # --- gradients ---

    def sum(self, shards: int, gradient: Callable[[int], Tensor]) -> Tensor:
        self.in_step = False
        own = self._nodes(self.rank, shards)
        parts = [tree_sum(node, lambda n: gradient(n[0]) if n[1] - n[0] == 1 else None) for node in own]
        length = len(parts[0])
        whole = self._exchange(parts, shards)
        self.in_step = True
        return whole[:length]

    def _nodes(self, rank: int, shards: int) -> list[Node]:
        """The nodes that a worker computes by itself."""
        count = shards // self.size
        return nodes_within(rank * count, (rank + 1) * count, (0, shards))

    def _exchange(self, parts: list[Tensor], shards: int) -> Tensor:
        """The sum of all workers' nodes, of which these are ours."""
        group = self._gradients[parts[0].device.type]
        size = -(-len(parts[0]) // self.size)
        counts = [len(self._nodes(rank, shards)) for rank in range(self.size)]
        padded = torch.stack(
            [torch.nn.functional.pad(part, (0, size * self.size - len(part))) for part in parts]
        )
        slices = padded.view(len(parts), self.size, size).transpose(0, 1).contiguous()  # [worker, node, size]
        received = slices.new_empty(sum(counts), size)
        mine, whole = [len(parts)] * self.size, slices.new_empty(self.size * size)
        with _talking("exchange gradients"):
            dist.all_to_all_single(received, slices.flatten(0, 1), counts, mine, group=group)
            by_node = dict(zip(self._all_nodes(shards), received.unbind(), strict=True))
            summed = tree_sum((0, shards), by_node.get)
            dist.all_gather(list(whole.chunk(self.size)), summed, group=group)
        return whole

    def _all_nodes(self, shards: int) -> list[Node]:
        return [node for rank in range(self.size) for node in self._nodes(rank, shards)]

    def end(self) -> None:
        if self.in_step:
            with suppress(LostWorkerError):
                self.broadcast()
        self.close()

    def close(self) -> None:
        """Leave the group."""
        with suppress(Exception):  # others may be gone
            dist.destroy_process_group()


@contextmanager
def _talking(to: str) -> Iterator[None]:
    """Raise LostWorkerError where PyTorch cannot reach another worker."""
    try:
        yield
    except (RuntimeError, dist.DistError) as error:
        raise LostWorkerError(to, error) from error
