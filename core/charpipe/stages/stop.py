"""Requests to stop: of the whole command, and of a part of its work."""

from __future__ import annotations

import threading


class _EitherEvent(threading.Event):
    """An event that is set where it or `other` is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return super().is_set() or self._other.is_set()


class Stop:
    """A stop request, from a signal or another source; training checks `event` between steps."""

    def __init__(
        self, event: threading.Event | None = None, signal: int = 2, whole: Stop | None = None
    ) -> None:
        self.event: threading.Event = _EitherEvent(whole.event) if whole else event or threading.Event()
        self._signal, self._whole = signal, whole

    @property
    def signal(self) -> int:
        """The signal for which the stop was requested."""
        return self._signal if self._whole is None else self._whole.signal

    def own(self) -> Stop:
        """A stop of one part of the work: requested by itself, or together with this one."""
        return Stop(whole=self)

    def request(self, signal: int) -> None:
        """Request a stop, because of this signal."""
        self._signal = signal
        self.event.set()

    def end(self) -> None:
        """Request a stop for no signal: the rest of the work has ended."""
        self.event.set()
