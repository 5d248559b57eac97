"""Writes what a run measures into its folder: `metrics.jsonl` is the truth, from which MLflow can be filled again."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from charpipe.events import (
    Checkpointed,
    CheckpointStarted,
    Evaluated,
    Event,
    Finished,
    Sampled,
    Step,
    TrainingStarted,
)
from charpipe.runs.folder import Run
from charpipe.store.atomic import write_text

EVERY = 10
"""A line of training loss is the mean over this many steps."""


class Recorder:
    """A listener that keeps a run's metrics, samples and status. Losses stay on their device until a line is due."""

    _own = ("train/loss", "train/learning_rate")

    def __init__(self, run: Run) -> None:
        self._run = run
        self._losses: list[Any] = []
        self._latest: dict[str, float] = {}
        self._started: dict[int, tuple[dict[str, float], list[float]]] = {}

    def rewind(self, step: int) -> None:
        """Forget what was recorded after `step`, where training goes on."""
        for path in (self._run.metrics_file, self._run.samples_file):
            if path.is_file():
                kept = [line for line in read_metrics(path) if line["step"] <= step]
                write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))
                for line in kept:
                    self._remember(line)
        pending = self._run.status.pending
        self._losses = list(pending["losses"]) if pending.get("step") == step else []

    def __call__(self, event: Event) -> None:
        """Record one event."""
        match event:
            case Step():
                self._step(event)
            case Evaluated(step=step, metrics=metrics):
                looked = {key: value for key, value in metrics.items() if key not in self._own}
                self._write({"step": step, **looked})
            case Sampled(step=step, text=text, prompt=prompt):
                line = {"step": step, "prompt": prompt, "text": text, "time": _now()}
                _append(self._run.samples_file, line)
            case CheckpointStarted(step=step):
                self._started[step] = (dict(self._latest), [float(loss) for loss in self._losses])
            case Checkpointed():
                self._checkpointed(event)
            case TrainingStarted():
                self._run.update(
                    state="running",
                    error=None,
                    step=event.step,
                    steps=event.steps,
                    device=event.device,
                    precision=event.precision,
                    parameters=event.parameters,
                )
            case Finished():
                self._finished(event)
            case _:
                pass

    def _step(self, event: Step) -> None:
        self._losses.append(event.loss)
        if event.step % EVERY:
            return
        losses = [float(loss) for loss in self._losses]
        self._losses.clear()
        mean = sum(losses) / len(losses)
        self._write({"step": event.step, "train/loss": mean, "train/learning_rate": event.learning_rate})

    def _write(self, line: dict[str, Any]) -> None:
        self._remember(line)
        _append(self._run.metrics_file, {**line, "time": _now()})

    def _remember(self, line: dict[str, Any]) -> None:
        self._latest |= {key: value for key, value in line.items() if "/" in key}

    def _checkpointed(self, event: Checkpointed) -> None:
        path = Path(event.path).resolve().relative_to(self._run.folder.resolve()).as_posix()
        metrics, losses = self._started.pop(event.step, (dict(self._latest), self._losses))
        entry = {"step": event.step, "path": path, "metrics": metrics}
        pending = {"step": event.step, "losses": [float(loss) for loss in losses]}
        changes: dict[str, Any] = {"step": event.step, "last": entry, "pending": pending}
        if event.best:
            changes["best"] = entry
        self._run.update(**changes)

    def _finished(self, event: Finished) -> None:
        state = "interrupted" if event.reason == "interrupted" else "finished"
        seconds = self._run.status.seconds + event.seconds
        counted = {} if event.parameters is None else {"parameters": event.parameters}
        metrics = dict(event.metrics)
        self._run.update(state=state, step=event.step, seconds=seconds, metrics=metrics, **counted)


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics or samples file; one that a crash cut short, or that is damaged, is left out."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict) and isinstance(value.get("step"), int):
                    yield value


def _append(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _now() -> float:
    return round(time.time(), 3)
