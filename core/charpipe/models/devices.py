"""What can be said of the device without importing torch."""

from __future__ import annotations

import sys
from pathlib import Path

ACCELERATORS = ("nvidia*", "nvhost*", "nvmap", "kfd", "dxg")
"""Device files on Linux: of NVIDIA's driver, of its boards, of AMD's driver, and of a GPU beneath Windows."""


def is_certainly_cpu(asked: str, folder: Path = Path("/dev"), platform: str = sys.platform) -> bool:
    """Whether `choose_device` chooses the CPU: `cpu`, or `auto` where Linux has no accelerator that torch supports.

    Elsewhere only torch can say.
    """
    if asked == "auto" and platform == "linux":
        return not any(any(folder.glob(name)) for name in ACCELERATORS)
    return asked == "cpu"
