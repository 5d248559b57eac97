"""What the parts of a command know together about the shared store."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charpipe.store.backends import Backend
    from charpipe.store.server_clock import ServerClock


class Reachability:
    """Whether the shared store answers, so that one warning is enough; and its clock, once it was asked."""

    def __init__(self) -> None:
        self.is_lost = False
        self._clock: ServerClock | None = None

    def clock(self, backend: Backend) -> ServerClock:
        """The clock of the store."""
        if self._clock is None:
            from charpipe.store.server_clock import ServerClock

            self._clock = ServerClock(backend)
        return self._clock
