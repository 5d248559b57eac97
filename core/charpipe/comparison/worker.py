"""`python -m charpipe.comparison.worker`: trains one trial, in a process of its own.

The protocol is that of `charpipe.stages.processes`: a request on standard input, events and the result on standard
output. What libraries print goes to standard error.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import IO, Any

import torch

from charpipe.comparison.remote import arguments_of
from charpipe.comparison.training import train_trial
from charpipe.errors import InterruptedRun, one_line
from charpipe.events import Event, Reported, StageProgress, Step
from charpipe.stages import Stop
from charpipe.stages.remote import open_described

INTERVAL = 0.2
"""Seconds between two events of a kind that only say how far it is."""


class EventLines:
    """Writes events and the result as JSON, one object a line; steps and progress are thinned."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._lock = file, threading.Lock()
        self._last: dict[type[Event], float] = {}

    def __call__(self, event: Event) -> None:
        """Write an event."""
        if isinstance(event, Step | StageProgress | Reported):
            now = time.monotonic()
            if now - self._last.get(type(event), 0.0) < INTERVAL:
                return
            self._last[type(event)] = now
        self.write(event.to_json())

    def write(self, value: Mapping[str, Any]) -> None:
        """Write an object; nothing if no one reads any more."""
        with self._lock:
            try:
                self._file.write(json.dumps(value) + "\n")
                self._file.flush()
            except BrokenPipeError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._file.fileno())


def main() -> None:
    """Read the request, train, and write the result."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    lines = EventLines(_own_standard_output())
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_stop_at_end_of_input, args=(stopped,), daemon=True).start()
    outcome: dict[str, Any] = {}
    # in a thread of its own: signals interrupt the main thread, which must not be within the kernels
    worker = threading.Thread(
        target=lambda: outcome.update(_train(request, lines, stopped)), name="trial", daemon=True
    )
    worker.start()
    while worker.is_alive():
        worker.join(0.1)
    lines.write(outcome)


def _train(request: Mapping[str, Any], lines: EventLines, stopped: threading.Event) -> dict[str, Any]:
    """The last line: the result, the message of an interruption, or why there is no result."""
    torch.set_num_threads(request["threads"])
    try:
        context = open_described(request, lines, Stop(stopped, signal.SIGTERM))
        return {"result": dataclasses.asdict(train_trial.carry_out(context, *arguments_of(request)))}
    except InterruptedRun as error:
        return {"stopped": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"reason": one_line(error)}


def _own_standard_output() -> IO[str]:
    """The real standard output; what is printed from now on goes to standard error instead."""
    sys.stdout.flush()
    real = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return os.fdopen(real, "w", encoding="utf-8")


def _stop_at_end_of_input(stopped: threading.Event) -> None:
    """Ask for a stop once the process that started this one has ended; end at once if a stop was asked for already."""
    while sys.stdin.buffer.read(1):
        pass
    if stopped.is_set():
        os._exit(128 + signal.SIGTERM)
    stopped.set()


if __name__ == "__main__":
    main()
