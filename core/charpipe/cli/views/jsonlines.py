"""One JSON object a line: the events as they happen and last `{"event": "finished", "run": ..., "metrics": ...}`."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

from charpipe.cli.output import print_json
from charpipe.cli.views.base import View
from charpipe.errors import Incomplete, InterruptedRun, JsonResult
from charpipe.events import Event, Finished, OfTrial, Reported, StageProgress, Step

INTERVAL = 0.5
"""Seconds between two lines that only say how far it is."""


class JsonLinesView(View):
    """Events for programs; steps, reports and progress are thinned to two a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[tuple[type[Event], str], float] = {}

    def __call__(self, event: Event) -> None:
        """Print one event."""
        trial, inner = (event.trial, event.event) if isinstance(event, OfTrial) else ("", event)
        if isinstance(inner, Step | Reported | StageProgress):
            now, kind = time.monotonic(), (type(inner), trial)
            if now - self._last.get(kind, 0.0) < INTERVAL:
                return
            self._last[kind] = now
        value = event.to_json()
        if isinstance(inner, Finished):
            value["event"] = "trained"  # "finished" is the last line of the whole pipeline
        self._print(value)

    def finish(self, result: JsonResult, lines: Iterable[str] = (), *, dry_run: bool = False) -> None:
        """Print the last line."""
        self._print({"event": "dry_run" if dry_run else "finished", **result.to_json()})

    def fail(self, error: Exception, lines: Iterable[str] = ()) -> None:
        """Print the last line of a pipeline that failed or was interrupted."""
        event = "interrupted" if isinstance(error, InterruptedRun) else "failed"
        code = getattr(error, "exit_code", 1)
        found = error.result.to_json() if isinstance(error, Incomplete) else {}
        self._print({"event": event, "message": str(error), "exit_code": code, **found})

    def _print(self, value: dict[str, Any]) -> None:
        """Print an object. A reader that has left ends no training: what follows is printed to nobody."""
        with self._lock:
            try:
                print_json(value)
                sys.stdout.flush()
            except BrokenPipeError:
                nobody = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nobody, sys.stdout.fileno())
                os.close(nobody)
