"""A progress bar for `charpipe.train` and `compare` in Python: a line on stderr in a terminal, HTML in a notebook."""

from __future__ import annotations

import html
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from charpipe.events import (
    Evaluated,
    Event,
    Listener,
    OfTrial,
    StageFailed,
    StageFinished,
    StagesPlanned,
    StageStarted,
    Step,
    TrainingStarted,
)
from charpipe.pages.notebook import shortened

INTERVAL = 0.5
"""Minimum seconds between two updates."""
WIDTH = 24


def wanted(progress: bool | None) -> bool:
    """Whether to show a bar: as `progress` says, by default in a terminal or a notebook."""
    return progress if progress is not None else _notebook() is not None or sys.stderr.isatty()


@contextmanager
def showing(progress: bool | None, listen: Listener) -> Iterator[Listener]:
    """A listener that draws a bar if one is wanted, and then calls `listen`."""
    if not wanted(progress):
        yield listen
        return
    bar = Bar()

    def both(event: Event) -> None:
        bar(event)
        listen(event)

    try:
        yield both
    except BaseException:
        bar.close()
        raise
    bar.close("done")


def _notebook() -> Any:
    """IPython's shell in a notebook's kernel; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if shell is not None and hasattr(shell, "kernel") else None


class Bar:
    """A listener that draws the progress of a training, or of a comparison. `close` ends the line."""

    def __init__(self) -> None:
        self._stage, self._step, self._steps, self._trains = "", 0, 0, False
        self._bits = float("nan")
        self._trainings: dict[str, bool] = {}
        """The trainings of a comparison by name, and whether each has ended."""
        self._drawn, self._lock = 0.0, threading.Lock()
        self._display: Any = None

    def __call__(self, event: Event) -> None:
        """Process one event, and redraw if enough time has passed."""
        with self._lock:
            changed = self._take(event)
            now = time.monotonic()
            if changed or now - self._drawn >= INTERVAL:
                self._drawn = now
                self._draw()

    def close(self, last: str | None = None) -> None:
        """Draw the last state, or `last` instead, and end the line."""
        with self._lock:
            if last is not None:
                self._stage, self._trains = last, False
            self._draw()
            if self._display is None and sys.stderr.isatty():
                sys.stderr.write("\n")
                sys.stderr.flush()

    def _take(self, event: Event) -> bool:
        match event:
            case OfTrial(trial=trial, event=inner):  # of several at once, the one that reported last
                self._stage = trial
                return self._take(inner)
            case StagesPlanned(stages=stages):
                self._trainings = dict.fromkeys(stages, False)
            case StageStarted(stage=stage):
                self._stage, self._trains = stage, False
            case StageFinished(stage=stage) | StageFailed(stage=stage):
                self._stage, self._trains = stage, False
                if stage in self._trainings:
                    self._trainings[stage] = True
            case TrainingStarted(step=step, steps=steps):
                self._step, self._steps, self._trains, self._bits = step, steps or 0, True, float("nan")
            case Step(step=step, steps=steps):
                self._step, self._steps = step, steps or 0
                return False
            case Evaluated(metrics=metrics):
                self._bits = metrics.get("val/bits_per_char", self._bits)
            case _:
                return False
        return True

    @property
    def text(self) -> str:
        """The line: stage, bar, steps and validation score; for a comparison also how many trainings have ended."""
        return "  ".join(part for part in ("charpipe", self._overall, self._stage, self._training) if part)

    @property
    def _overall(self) -> str:
        """`2 of 6 trained`; empty outside a comparison."""
        if not self._trainings:
            return ""
        return f"{sum(self._trainings.values())} of {len(self._trainings)} trained"

    @property
    def _training(self) -> str:
        if not self._steps or not self._trains:
            return ""
        done = min(1.0, self._step / self._steps)
        bar = "█" * round(WIDTH * done) + "░" * (WIDTH - round(WIDTH * done))
        score = f"  {self._bits:.3f} bits per character" if self._bits == self._bits else ""
        return f"{bar} {self._step:,} of {self._steps:,} steps{score}"

    def _draw(self) -> None:
        if _notebook() is None:
            sys.stderr.write(self._line if sys.stderr.isatty() else f"{self.text}\n")
            sys.stderr.flush()
            return
        from IPython.display import HTML, display  # type: ignore[import-not-found,unused-ignore]

        drawn = HTML(f"<pre style='font-family:monospace'>{html.escape(self.text)}</pre>")
        if self._display is None:
            self._display = display(drawn, display_id=True)
        else:
            self._display.update(drawn)

    @property
    def _line(self) -> str:
        """Draw the text over the previous one, cut to the terminal's width: a longer text would leave lines behind."""
        width = shutil.get_terminal_size().columns
        return f"\r\x1b[2K{shortened(self.text, max(2, width - 1))}"
