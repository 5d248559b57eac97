"""Orders of rank 0 to the other workers, one int64 vector each: what to do next, with all that they need for it.

The vectors of all workers are summed: only rank 0 writes an order, and each of the others may add a request to stop.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import torch
from torch import Tensor

from charpipe.training.group import Command


@dataclass(frozen=True)
class UpdateOrder:
    """All that a worker needs to know of update `step`: the tokens int64 [T + 1, B], and the optimizer's rates."""

    step: int
    rate: float
    momentum: float | None
    starts_epoch: bool
    ids: Tensor


STOP, COMMAND, STEP, RATE, MOMENTUM, HAS_MOMENTUM, STARTS_EPOCH, TOKENS = range(8)
"""Places in the vector; the tokens are at the end."""


@dataclass(frozen=True)
class OrderFormat:
    """Converts orders to vectors and back. T: `window`, B: `batch_size` of the training."""

    window: int
    batch_size: int

    def empty(self) -> Tensor:
        """The vector of a worker that gives no order."""
        return torch.zeros(TOKENS + (self.window + 1) * self.batch_size, dtype=torch.int64)

    def write(self, command: Command, update: UpdateOrder | None = None) -> Tensor:
        """The vector of an order."""
        vector = self.empty()
        vector[COMMAND] = command
        if update is not None:
            vector[STEP], vector[STARTS_EPOCH] = update.step, update.starts_epoch
            vector[RATE], vector[HAS_MOMENTUM] = _bits(update.rate), update.momentum is not None
            vector[MOMENTUM] = _bits(update.momentum or 0.0)
            vector[TOKENS:] = update.ids.flatten()
        return vector

    def read(self, vector: Tensor) -> tuple[Command, UpdateOrder]:
        """The order in a vector; the second is valid for UPDATE only."""
        head = vector[:TOKENS].tolist()
        momentum = _number(head[MOMENTUM]) if head[HAS_MOMENTUM] else None
        ids = vector[TOKENS:].view(self.window + 1, self.batch_size)
        update = UpdateOrder(head[STEP], _number(head[RATE]), momentum, bool(head[STARTS_EPOCH]), ids)
        return Command(head[COMMAND]), update


def _bits(number: float) -> int:
    return int(struct.unpack("<q", struct.pack("<d", number))[0])


def _number(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<q", bits))[0])
