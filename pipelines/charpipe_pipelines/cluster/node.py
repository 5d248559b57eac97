"""A trial on a node of a Ray cluster: in a process of its own, whose events go to the mailbox."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from prefect.client.schemas.objects import State
from prefect.states import Cancelled

from charpipe.events import Event
from charpipe.stages.processes import Outcome, run_process
from charpipe.stages.remote import placed
from charpipe.stages.stop import Stop
from charpipe_pipelines.task_states import TaskOutcome

INTERVAL = 0.5
"""Seconds between two letters to the mailbox."""


def carry_out(module: str, request: Mapping[str, Any], name: str, mailbox: Any) -> State[Any]:
    """Run a trial on this node; returns the final state of its task."""
    import ray

    attempt = ray.get(mailbox.begin.remote(name, socket.gethostname()))
    here = placed(request)
    if attempt > 1:  # go on from the last checkpoint, even if the command forced a new run
        here["force"] = []
    with Post(mailbox, name) as post:
        shown = TaskOutcome(post)
        outcome = run_process(module, here, shown, post.stop)
    ray.get(mailbox.end.remote(name, asdict(outcome)))
    return _state(outcome, shown)


def _state(outcome: Outcome, shown: TaskOutcome) -> State[Any]:
    if outcome.stopped is not None:
        return Cancelled(message=outcome.stopped)
    return shown.state(dict(outcome.result or {}), outcome.reason)


class Post:
    """A listener that sends events to the mailbox, in a thread of its own; `stop` is requested once the command wants
    it, and when the command is gone."""

    def __init__(self, mailbox: Any, name: str) -> None:
        self._mailbox, self._name = mailbox, name
        self._events: list[Mapping[str, Any]] = []
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="post", daemon=True)
        self.stop = Stop()

    def __call__(self, event: Event) -> None:
        """Send an event soon."""
        with self._lock:
            self._events.append(event.to_json())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closing.wait(INTERVAL):
            self._send()
        self._send()

    def _send(self) -> None:
        import ray

        with self._lock:
            events, self._events = self._events, []
        try:
            wanted = ray.get(self._mailbox.post.remote(self._name, events))
        except Exception:  # the mailbox ends with the command that owns it
            wanted = True
        if wanted and not self.stop.event.is_set():
            self.stop.request(signal.SIGTERM)
