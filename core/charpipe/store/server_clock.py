"""The clock of a shared store, by the times that it gives to what is written to it."""

from __future__ import annotations

import os
import time
from datetime import datetime

from charpipe.errors import StoreAccessError, StoreUnreachableError
from charpipe.store.backends import Backend
from charpipe.store.elapsed_time import elapsed_seconds

FOLDER = "clocks"
RESOLUTION = 1.0
"""Object storage tells times in whole seconds."""


class ServerClock:
    """The time by the store's clock. Asks the store once, by writing a small object; from then on it counts itself."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._measured: tuple[float, float, float, float] | None = None

    def now(self) -> float:
        """Seconds since 1970 by the store's clock, to about a second."""
        server, _, at, _ = self._measure()
        return server + elapsed_seconds() - at

    def age(self, modified: datetime) -> float:
        """Seconds since `modified`, a time that the store gave."""
        return self.now() - modified.timestamp()

    def check(self, seconds: float) -> None:
        """Raise StoreAccessError if this machine's clock and the store's differ by more than `seconds`."""
        server, local, _, uncertain = self._measure()
        difference = local - server
        if abs(difference) > seconds + uncertain:
            way = "ahead of" if difference > 0 else "behind"
            raise StoreAccessError(
                f"this machine's clock is {abs(difference):,.0f} s {way} the clock of {self._backend.url}, more than a "
                f"lease ({seconds:g} s); nothing was written; set the clock by NTP, and type the same command again"
            )

    def _measure(self) -> tuple[float, float, float, float]:
        if self._measured is None:
            key = f"{FOLDER}/{os.urandom(8).hex()}"
            before, local = elapsed_seconds(), time.time()
            self._backend.create(key, b"time")
            took = elapsed_seconds() - before
            stored = self._backend.read(key)
            self._backend.delete([key])
            if stored is None:
                raise StoreUnreachableError(f"{self._backend.url} does not hold what was just written to it")
            server = stored.modified.timestamp()
            self._measured = (server, local + took / 2, before + took / 2, took / 2 + RESOLUTION)
        return self._measured
