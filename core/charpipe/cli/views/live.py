"""The live picture on a terminal."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from charpipe.cli.views.base import View
from charpipe.cli.views.progress import Progress, StageLine, one_line, shortened
from charpipe.cli.views.training import TrainingProgress
from charpipe.errors import JsonResult
from charpipe.events import Event, Notice

MARKS = {
    "waiting": ("·", "dim"),
    "running": ("▶", "bold cyan"),
    "done": ("✓", "green"),
    "cached": ("✓", "green"),
    "failed": ("✗", "red"),
}
COLORS = ((8.0, "bold red"), (4.0, "red"), (2.0, "yellow"))
"""The colors of characters from so many bits of surprise on: probabilities of up to 1/256, 1/16 and 1/4."""
SAMPLE_ROWS = 4
"""Rows of the newest sample at most."""
BAR = 10
CHROME = 6
"""Lines beside those of stages and of curves."""


class LiveView(View):
    """Draws the stages ten times a second while they change."""

    def __init__(self, progress: Progress, console: Console | None = None) -> None:
        self.progress = progress
        self._console = console or Console(highlight=False)
        self._lock = threading.Lock()
        self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=10)

    def __enter__(self) -> Self:
        if not self._console.is_terminal:
            self._console.print(Text(self.progress.header, style="bold"))
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take in one event; notices are printed above the picture."""
        with self._lock:
            self.progress.take(event)
        if isinstance(event, Notice):
            style = "yellow" if event.level == "warning" else "dim"
            self._console.print(
                Text(event.message, style=style), soft_wrap=True
            )  # the terminal breaks no name

    def _draw(self) -> Group:
        with self._lock:
            lines: list[Text] = [Text(self.progress.header, style="bold"), Text("")]
            before, shown = self._in_sight()
            if before:
                lines.append(Text(f"  … {before} before", style="dim"))
            for stage in shown:
                lines.extend(self._stage(stage))
        return Group(*lines)

    def _in_sight(self) -> tuple[int, list[StageLine]]:
        """As many stages as the terminal has room for, the one at work among them; and how many are left out above."""
        stages = list(self.progress.stages.values())
        room = max(self._console.height - CHROME - len(self._curves()), 3)
        if len(stages) <= room:
            return 0, stages
        working = next(
            (n for n, stage in enumerate(stages) if stage.state in ("running", "waiting")), len(stages)
        )
        start = max(0, min(working - room // 2, len(stages) - room))
        return start, stages[start : start + room]

    def _stage(self, stage: StageLine) -> list[Text]:
        mark, style = MARKS[stage.state]
        line = Text.assemble(
            (mark, style), f" {stage.name:<{self.progress.width}}", no_wrap=True, overflow="ellipsis"
        )
        training = self._training(stage)
        if training is not None:
            room = self._console.width - len(line.plain)
            line.append(training.training(_bar(training), room))
            below = [] if self.progress.at_once else [*self._measured(), *self._curves(), *self._sample()]
            return [line, *below]
        text = stage.text or (stage.why if stage.state == "running" else "")
        outcome = f" {self.progress.outcome(stage):>8}" if stage.state in ("done", "cached") else ""
        room = self._console.width - len(line.plain) - len(outcome)
        line.append(f"{shortened(text, room):<{max(0, min(44, room))}}")
        line.append(outcome, "dim")
        return [line]

    def _indent(self) -> str:
        """What stands left of the texts of stages: the place of a mark and a name."""
        return " " * (self.progress.width + len("✓ "))

    def _training(self, stage: StageLine) -> TrainingProgress | None:
        """The training that goes on in a stage, if there is one."""
        if stage.state != "running" or stage.text:
            return None
        if stage.name == self.progress.learning:
            return self.progress.now
        return self.progress.trainings.get(stage.name)

    def _measured(self) -> list[Text]:
        indent = self._indent()
        text = self.progress.measured(self._console.width - len(indent))
        return [Text(f"{indent}{text}", "dim")] if text else []

    def _curves(self) -> list[Text]:
        if self.progress.at_once:
            return []
        indent = self._indent()
        text = self.progress.now.curves(self._console.width - len(indent))
        return [Text.assemble(indent, (text, "cyan"))] if text else []

    def _sample(self) -> list[Text]:
        """The newest sample, each character in the color of its surprise, in as many rows as there is room for."""
        sampled = self.progress.now.sampled
        if sampled is None:
            return []
        begin, below = f"{self._indent()}sample at step {sampled.step:,} │ ", f"{self._indent()}│ "
        first, other = (max(1, self._console.width - len(each)) for each in (begin, below))
        taken = CHROME + len(self._curves()) + len(self.progress.stages)
        more = max(0, min(SAMPLE_ROWS - 1, self._console.height - taken))
        text = coloured(one_line(sampled.text, first + more * other), sampled.surprise)
        rows = text.divide([first + n * other for n in range(more)])
        return [
            Text.assemble((below if n else begin, "dim"), row, no_wrap=True, overflow="ellipsis")
            for n, row in enumerate(rows)
            if not n or row.plain
        ]

    def finish(self, result: JsonResult, lines: Iterable[str] = (), *, dry_run: bool = False) -> None:
        """Stop drawing and print the summary below the picture."""
        self._close(lines)

    def fail(self, error: Exception, lines: Iterable[str] = ()) -> None:
        """Stop drawing and print what came of the rest, where only a part failed."""
        self._close(lines)

    def _close(self, lines: Iterable[str]) -> None:
        self._live.stop()
        for line in self.progress.without_told(lines):
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def coloured(line: str, surprise: Sequence[float]) -> Text:
    """A line with each character in the color of its surprise in bits, where that is known."""
    text = Text(line)
    for place, bits in enumerate(surprise[: len(line)]):
        style = next((style for least, style in COLORS if bits >= least), "")
        if style:
            text.stylize(style, place, place + 1)
    return text


def _bar(training: TrainingProgress) -> str:
    if training.share is None:
        return ""
    full = round(training.share * BAR)
    return "█" * full + "░" * (BAR - full)
