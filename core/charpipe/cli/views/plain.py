"""The same facts as plain lines, for files, pipes and continuous integration."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import typer

from charpipe.cli.views.base import View
from charpipe.cli.views.progress import Progress, one_line
from charpipe.errors import JsonResult
from charpipe.events import (
    Evaluated,
    Event,
    Notice,
    OfTrial,
    Sampled,
    StageFailed,
    StageFinished,
    StageProgress,
    StageStarted,
    TrainingStarted,
)

INTERVAL = 5.0
"""Seconds between two lines about the same stage's progress."""


class PlainView(View):
    """Prints a line for whatever is worth one."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._headed = False

    def __call__(self, event: Event) -> None:
        """Take in one event and print the line it is worth."""
        with self._lock:
            self.progress.take(event)
            line = self._line(event)
            if line is not None:
                if not self._headed and not isinstance(event, Notice):
                    typer.echo(f"{self.progress.header}\n")
                    self._headed = True
                typer.echo(line)

    def _line(self, event: Event) -> str | None:
        width = self.progress.width
        if isinstance(event, OfTrial):  # samples of several models would be read as one's
            return None if isinstance(event.event, Sampled) else self._line(event.event)
        match event:
            case StageStarted(stage=stage, why=why):
                return (
                    f"  {stage:<{width}}{'run' if why else 'running'} ({why})"
                    if why
                    else f"  {stage:<{width}}running"
                )
            case StageProgress(stage=stage):
                if time.monotonic() - self._last < INTERVAL:
                    return None
                self._last = time.monotonic()
                return f"  {stage:<{width}}{self.progress.stages[stage].text}"
            case StageFinished(stage=name):
                done = self.progress.stages[name]
                return f"✓ {name:<{width}}{done.text:<44} {self.progress.outcome(done):>8}"
            case StageFailed(stage=stage, reason=reason):
                return f"✗ {stage:<{width}}{reason}"
            case TrainingStarted():
                count = "" if event.parameters is None else f", {event.parameters:,} parameters"
                return f"  {self.progress.learning:<{width}}{self.progress.now.model}{count}"
            case Evaluated():
                line = f"{self.progress.training()}  {self.progress.measured()}".rstrip()
                return f"  {self.progress.learning:<{width}}{line}"
            case Sampled(step=step, text=text):
                return f"  {'':<{width}}sample at step {step:,} | {one_line(text, 80)}"
            case Notice(message=message):
                return f"  {message}"
            case _:
                return None

    def finish(self, result: JsonResult, lines: Iterable[str] = (), *, dry_run: bool = False) -> None:
        """Print the summary."""
        for line in self.progress.without_told(lines):
            typer.echo(line)

    def fail(self, error: Exception, lines: Iterable[str] = ()) -> None:
        """Print what came of the rest, where only a part failed."""
        for line in lines:
            typer.echo(line)
