"""Processes that `torchrun` started: `torchrun --nproc-per-node 2 -m charpipe run ...`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charpipe.training.process_group import ProcessGroup

INTERFACE = "GLOO_SOCKET_IFNAME"


def started_by_torchrun(environment: Mapping[str, str] | None = None) -> bool:
    """Whether torchrun started this process, as one of several."""
    environment = os.environ if environment is None else environment
    return "TORCHELASTIC_RUN_ID" in environment and int(environment.get("WORLD_SIZE", "1")) > 1


def follows() -> bool:
    """Whether this process is one of several, and not their rank 0."""
    return started_by_torchrun() and os.environ.get("RANK") != "0"


def connect() -> ProcessGroup:
    """The group of the processes that torchrun started. On one machine they talk over loopback only."""
    from charpipe.training.process_group import ProcessGroup  # imports torch

    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        os.environ.setdefault(INTERFACE, "lo0" if sys.platform == "darwin" else "lo")
    return ProcessGroup(int(os.environ.get("LOCAL_RANK", "0")))
