"""What a trial on a node and the command that started it tell each other: an actor of Ray, owned by the command."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


class Mailbox:
    """Holds the events and the outcome of each trial, by its name, until they are taken, and who is to stop."""

    def __init__(self) -> None:
        self._events: defaultdict[str, list[Json]] = defaultdict(list)
        self._outcomes: dict[str, Json] = {}
        self._hosts: defaultdict[str, list[str]] = defaultdict(list)
        self._stopped: set[str] = set()
        self._closed = False

    def begin(self, name: str, host: str) -> int:
        """Tell that a trial starts on a host; returns how often it did. Ray starts it again when its node is lost."""
        hosts = self._hosts[name]
        if hosts:
            message = f"{name}: its node {hosts[-1]} was lost; it goes on from its last checkpoint on {host}"
            self._events[name].append({"event": "notice", "message": message, "level": "warning"})
        hosts.append(host)
        return len(hosts)

    def post(self, name: str, events: Sequence[Json]) -> bool:
        """Add events of a trial; returns whether it is to stop."""
        self._events[name].extend(events)
        return self._closed or name in self._stopped

    def end(self, name: str, outcome: Json) -> None:
        """Add the outcome of a trial."""
        self._outcomes[name] = outcome

    def stop(self, name: str) -> bool:
        """Let a trial stop; returns whether it has begun."""
        self._stopped.add(name)
        return bool(self._hosts[name])

    def close(self) -> None:
        """Let all trials stop: the command does not wait for them any more."""
        self._closed = True

    def take(self, name: str) -> tuple[list[Json], Json | None]:
        """The events of a trial since the last call, and its outcome if it has ended."""
        return self._events.pop(name, []), self._outcomes.get(name)
