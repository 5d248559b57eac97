"""Memory for windows, in large pages where the system gives them: rows lie far apart, and of small pages the
processor has to look up one for each."""

from __future__ import annotations

import math
import mmap
from contextlib import suppress

import torch
from torch import Tensor

LARGE_PAGE = 1 << 21


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """As `torch.zeros`, for as long as a training lasts. Raises MemoryError where there is too little."""
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(*shape, dtype=dtype)
    whole = -(-size // LARGE_PAGE) * LARGE_PAGE
    try:
        memory = mmap.mmap(-1, whole, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"{whole:,} bytes were refused: {error}") from error
    with suppress(OSError):  # a system that was built without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype, count=math.prod(shape)).view(shape)
