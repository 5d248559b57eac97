"""Settings of the OpenMP runtime that PyTorch brings. They take effect only before it is loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping

SPINS = "1000"
"""Turns that a waiting OpenMP thread spins before it sleeps. The runtime's own choice, billions, keeps a core from the
thread that is waited for when other programs run; sleeping at once costs a fifth of the idle speed."""
BRIEF = 100_000
"""Turns that take a fraction of a millisecond."""
OWN = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Variables by which a user says how threads wait."""


def limit_spinning(environment: MutableMapping[str, str] | None = None) -> bool:
    """Let waiting OpenMP threads sleep soon, unless the user said how they wait or PyTorch is already imported.

    Returns whether it was set. Results do not depend on it. Processes started from this one inherit it.
    """
    environment = os.environ if environment is None else environment
    if "torch" in sys.modules or any(name in environment for name in OWN):
        return False
    environment["GOMP_SPINCOUNT"] = SPINS
    return True


def spins_briefly(environment: Mapping[str, str] | None = None) -> bool:
    """Whether these variables let waiting OpenMP threads sleep soon."""
    environment = os.environ if environment is None else environment
    spins = environment.get("GOMP_SPINCOUNT", "").strip()
    if spins.isdecimal():
        return int(spins) <= BRIEF
    return environment.get("OMP_WAIT_POLICY", "").strip().upper() == "PASSIVE"
