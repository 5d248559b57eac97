"""Tokens where the training is: the lanes are gathered on the device, so that a step fetches nothing from outside."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from charpipe.models.contract import check_ids
from charpipe.training.lanes import Lanes

SHARE = 4
"""Tokens stay on the host if they would take more than one part in so many of the device's free memory."""
PIECE = 1 << 26
"""Tokens copied to the device at once."""
SIGNED = {1: np.uint8, 2: np.int16, 4: np.int32}
"""By bytes a token: torch gathers few unsigned types, so wider ones go under a signed name."""


class Tokens(Protocol):
    """`read()` is what lies under the lanes where they were moved to last, int64 [T + 1, B]."""

    def move_to(self, step: int) -> None: ...
    def read(self) -> Tensor: ...


class Resident:
    """All tokens on the device."""

    def __init__(self, lanes: Lanes, device: torch.device) -> None:
        self._lanes = lanes
        width = lanes.tokens.dtype.itemsize
        self._mask = (1 << 8 * width) - 1
        self._values = torch.empty(len(lanes.tokens), dtype=_signed(width), device=device)
        for start in range(0, len(lanes.tokens), PIECE):
            piece = np.array(lanes.tokens[start : start + PIECE])
            check_ids(torch.tensor(int(piece.max())), lanes.vocabulary_size)
            piece = piece.view(SIGNED[width])
            self._values[start : start + PIECE] = torch.from_numpy(piece)
        places = np.arange(lanes.window + 1)[:, None] + np.arange(lanes.batch_size) * lanes.stretch
        self._grid = torch.from_numpy(places).to(device)
        self._origin = torch.zeros((), dtype=torch.int64, device=device)

    def move_to(self, step: int) -> None:
        self._origin.fill_(self._lanes.origin(step))

    def read(self) -> Tensor:
        return self._values[self._grid + self._origin].long() & self._mask


class Fetched:
    """Tokens that are too many for the device: each step's are copied there while the last one is at work."""

    def __init__(self, lanes: Lanes, device: torch.device) -> None:
        self._lanes = lanes
        self._ids = torch.zeros(lanes.window + 1, lanes.batch_size, dtype=torch.int64, device=device)

    def move_to(self, step: int) -> None:
        inputs, targets = self._lanes.read(step)
        ids = torch.cat([inputs, targets[-1:]])
        self._ids.copy_(ids.pin_memory() if self._ids.is_cuda else ids, non_blocking=True)

    def read(self) -> Tensor:
        return self._ids


def tokens_on(lanes: Lanes, device: torch.device) -> Tokens:
    """The lanes' tokens on the device, or fetched from the host where they are too many for it."""
    if device.type == "cuda" and lanes.tokens.nbytes * SHARE > torch.cuda.mem_get_info(device)[0]:
        return Fetched(lanes, device)
    return Resident(lanes, device)


def _signed(width: int) -> torch.dtype:
    return {1: torch.uint8, 2: torch.int16, 4: torch.int32}[width]
