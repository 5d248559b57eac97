"""Training tokens on the device, so that a captured update reads them without waiting for the host.

T: window, B: streams. Shapes as in `batches.py`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from charpipe.models.contract import check_ids
from charpipe.training.batches import Batches

FREE_MEMORY_DIVISOR = 4
"""Tokens stay on the host if they would take more than a quarter of the device's free memory."""
TOKENS_PER_COPY = 1 << 26
"""Tokens copied to the device at once."""
SIGNED = {1: np.uint8, 2: np.int16, 4: np.int32}
"""By bytes a token. torch cannot index uint16 and uint32, so these are stored as signed integers of their size."""


class DeviceTokens(Protocol):
    """`read()` returns the tokens at the step given to `move_to` last: int64 [T + 1, B], inputs and targets."""

    def move_to(self, step: int) -> None: ...
    def read(self) -> Tensor: ...


class ResidentTokens:
    """All tokens of the corpus in the device's memory."""

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self._batches = batches
        tokens, itemsize = batches.tokens, batches.tokens.dtype.itemsize
        self._mask = (1 << 8 * itemsize) - 1
        self._values = torch.empty(len(tokens), dtype=_signed(itemsize), device=device)
        for start in range(0, len(tokens), TOKENS_PER_COPY):
            part = np.array(tokens[start : start + TOKENS_PER_COPY])
            check_ids(torch.tensor(int(part.max())), batches.vocabulary_size)
            self._values[start : start + TOKENS_PER_COPY] = torch.from_numpy(part.view(SIGNED[itemsize]))
        streams = np.arange(batches.batch_size) * batches.stream_length
        self._grid = torch.from_numpy(np.arange(batches.window + 1)[:, None] + streams).to(
            device
        )  # [T + 1, B]
        self._first = torch.zeros((), dtype=torch.int64, device=device)

    def move_to(self, step: int) -> None:
        self._first.fill_(self._batches.first_token(step))

    def read(self) -> Tensor:
        return self._values[self._grid + self._first].long() & self._mask


class CopiedTokens:
    """Tokens that are too many for the device: those of a step are copied while the step before it runs."""

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self._batches = batches
        self._ids = torch.zeros(batches.window + 1, batches.batch_size, dtype=torch.int64, device=device)

    def move_to(self, step: int) -> None:
        inputs, targets = self._batches.read(step)
        ids = torch.cat([inputs, targets[-1:]])
        self._ids.copy_(ids.pin_memory() if self._ids.is_cuda else ids, non_blocking=True)

    def read(self) -> Tensor:
        return self._ids


def tokens_on_device(batches: Batches, device: torch.device) -> DeviceTokens:
    """The training tokens in the device's memory, or copied step by step where they are too many for it."""
    if (
        device.type == "cuda"
        and batches.tokens.nbytes * FREE_MEMORY_DIVISOR > torch.cuda.mem_get_info(device)[0]
    ):
        return CopiedTokens(batches, device)
    return ResidentTokens(batches, device)


def _signed(itemsize: int) -> torch.dtype:
    return {1: torch.uint8, 2: torch.int16, 4: torch.int32}[itemsize]
