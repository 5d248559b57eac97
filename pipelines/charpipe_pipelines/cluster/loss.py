"""Notice that a Ray cluster is lost while a command works on it.

Without its head a cluster goes on with what it has begun, for a time: nobody tells the command. Ray itself ends the
command's process in the end, with lines of its own. Ray's own questions to the head must not be asked meanwhile: some
of them end the process as well.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from charpipe.errors import CharpipeError

PATIENCE = 20.0
"""Seconds without an answer after which the head is lost. One that keeps its state elsewhere may come back by then."""
INTERVAL = 1.0
"""Seconds between two questions."""
ANSWER_SECONDS = 5.0
KEPT = (
    "what is finished is kept, and trainings at their last checkpoint: when the cluster answers again, type the same "
    "command again"
)


class ClusterLostError(CharpipeError):
    """The Ray cluster no longer answers."""


def cluster_lost(error: Exception) -> ClusterLostError:
    """What to say when a call of Ray failed because its cluster is lost."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return ClusterLostError(f"the Ray cluster was lost ({reason}); {KEPT}")


def answers(address: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether something listens at HOST:PORT."""
    try:
        connect(address, seconds)
    except OSError:
        return False
    return True


def connect(address: str, seconds: float = ANSWER_SECONDS) -> None:
    """Connect to HOST:PORT and hang up. Raises OSError if nothing listens there."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    socket.create_connection((parts.hostname or "", parts.port or 0), seconds).close()


class HeadWatch:
    """Asks the head of a cluster once a second whether it is there; any number of threads may `check`."""

    def __init__(
        self,
        address: str,
        answers: Callable[[str], bool] = answers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._answers, self._clock = address, answers, clock
        self._asked = self._answered = clock()
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise ClusterLostError if the head has not answered for `PATIENCE` seconds."""
        with self._lock:
            if self._clock() - self._asked >= INTERVAL:
                there = self._answers(self._address)
                self._asked = self._clock()
                if there:
                    self._answered = self._asked
            silent = self._asked - self._answered
        if silent > PATIENCE:
            raise ClusterLostError(
                f"the head of the Ray cluster at {self._address} has not answered for {silent:.0f} s; {KEPT}"
            )
