"""Whether kernels may multiply by AMX: a user can switch it off, and Linux must permit a process to use its tiles."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from functools import cache

SWITCH = "CHARPIPE_AMX"
"""The environment variable that switches AMX off: by 0. With 1 a user asks for it, and is told if it cannot be used."""
NEEDED = ("amx-tile", "amx-bf16")
"""LLVM's names of the features that the kernels use."""
ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA = 158, 0x1023, 18
"""The system call, its operation, and the number of the tiles' data among the processor's states (asm/prctl.h)."""


def switched_off(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the user switched AMX off."""
    return _switch(environment) == "0"


def asked_for(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the user asked for AMX."""
    return _switch(environment) == "1"


def _switch(environment: Mapping[str, str] | None) -> str:
    return (os.environ if environment is None else environment).get(SWITCH, "").strip()


def obstacle_to_amx(has: Mapping[str, bool]) -> str | None:
    """Why kernels cannot use AMX on a processor with these features, or None if they can. Asks Linux for permission
    where only that is missing."""
    missing = [name for name in NEEDED if not has.get(name)]
    if missing:
        return f"this processor has no {' and no '.join(missing)}"
    return None if permitted() else "the operating system refused the use of AMX registers"


@cache
def permitted() -> bool:
    """Asks Linux once for the use of AMX registers, in all threads of this process and in processes forked from it.
    Without its permission the first of these instructions would end the process."""
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    try:
        return _request_permission() == 0
    except (OSError, AttributeError):  # no C library to call
        return False


def _request_permission() -> int:
    """0, or -1 where it is refused: by a kernel before 5.16, or in a sandbox."""
    call = ctypes.CDLL(None).syscall
    call.restype = ctypes.c_long
    found: int = call(*map(ctypes.c_long, (ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)))
    return found
