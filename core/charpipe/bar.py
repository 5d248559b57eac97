"""A progress bar for `charpipe.train` in Python: a line on stderr in a terminal, HTML in a notebook."""

from __future__ import annotations

import html
import sys
import threading
import time
from typing import Any

from charpipe.events import Evaluated, Event, StageFinished, StageStarted, Step, TrainingStarted

INTERVAL = 0.5
"""Seconds between two drawings."""
WIDTH = 24


def wanted(progress: bool | None) -> bool:
    """Whether to show a bar: as asked, else where a person looks on (a terminal, a notebook)."""
    return progress if progress is not None else _notebook() is not None or sys.stderr.isatty()


def _notebook() -> Any:
    """IPython's shell where it is a notebook's kernel; None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if shell is not None and hasattr(shell, "kernel") else None


class Bar:
    """A listener that draws how far a training is. `close` ends the line."""

    def __init__(self) -> None:
        self._stage, self._step, self._steps = "", 0, 0
        self._bits = float("nan")
        self._drawn, self._lock = 0.0, threading.Lock()
        self._display: Any = None

    def __call__(self, event: Event) -> None:
        """Take in one event, and draw where enough time has passed."""
        with self._lock:
            changed = self._take(event)
            now = time.monotonic()
            if changed or now - self._drawn >= INTERVAL:
                self._drawn = now
                self._draw()

    def close(self) -> None:
        """Draw the last state and end the line."""
        with self._lock:
            self._draw()
            if self._display is None:
                sys.stderr.write("\n")
                sys.stderr.flush()

    def _take(self, event: Event) -> bool:
        match event:
            case StageStarted(stage=stage) | StageFinished(stage=stage):
                self._stage = stage
            case TrainingStarted(step=step, steps=steps):
                self._stage, self._step, self._steps = "train", step, steps or 0
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
        """The line: the stage, the bar, steps and the validation score."""
        if not self._steps or self._stage != "train":
            return f"charpipe  {self._stage}"
        done = min(1.0, self._step / self._steps)
        bar = "█" * round(WIDTH * done) + "░" * (WIDTH - round(WIDTH * done))
        score = f"  {self._bits:.3f} bits per character" if self._bits == self._bits else ""
        return f"charpipe  train {bar} {self._step:,} of {self._steps:,} steps{score}"

    def _draw(self) -> None:
        if _notebook() is None:
            sys.stderr.write(f"\r\x1b[2K{self.text}" if sys.stderr.isatty() else f"{self.text}\n")
            sys.stderr.flush()
            return
        from IPython.display import HTML, display  # type: ignore[import-not-found,unused-ignore]

        drawn = HTML(f"<pre>{html.escape(self.text)}</pre>")
        if self._display is None:
            self._display = display(drawn, display_id=True)
        else:
            self._display.update(drawn)
