"""Record a run's metrics in its folder. `metrics.jsonl` is authoritative: MLflow can be refilled from it."""

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
    PlanRevised,
    Reported,
    Sampled,
    TrainingStarted,
)
from charpipe.runs.folder import Run, step_of
from charpipe.store.atomic import write_text

REPORTED = "train/loss"
"""Taken from reports, not from evaluations, where it is the mean since the previous evaluation."""


class Recorder:
    """Event listener that records a run's metrics, samples and status. It treats only `train/loss` specially."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._latest: dict[str, float] = {}
        self._started: dict[int, dict[str, float]] = {}
        """Step to metrics, for checkpoints that are being written."""

    def rewind(self, step: int, last: Path | None = None, best: Path | None = None) -> None:
        """Drop everything recorded after `step`, before training resumes from the checkpoint `last`.

        `best` is the best checkpoint up to `step`.
        """
        for path in (self._run.metrics_file, self._run.samples_file, self._run.pending_file):
            if path.is_file():
                kept = [line for line in read_metrics(path) if line["step"] <= step]
                write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))
        if self._run.metrics_file.is_file():
            for line in read_metrics(self._run.metrics_file):
                self._remember(line)
        pending = _by_step(self._run.pending_file)
        for checkpoint in (last, best):
            if checkpoint is not None:
                number = step_of(checkpoint)
                self._started[number] = dict(pending.get(number, {}).get("metrics", self._latest))
        entries = {"last": last and self._entry(last), "best": best and self._entry(best)}
        self._started.clear()
        self._run.update(step=step, **entries)

    def __call__(self, event: Event) -> None:
        """Record one event."""
        match event:
            case Reported(step=step, metrics=metrics):
                self._write({"step": step, **metrics})
            case Evaluated(step=step, metrics=metrics):
                self._write({"step": step, **{key: metrics[key] for key in metrics if key != REPORTED}})
            case Sampled(step=step, text=text, prompt=prompt):
                line = {"step": step, "prompt": prompt, "text": text, "time": _now()}
                _append(self._run.samples_file, line)
            case CheckpointStarted(step=step):
                line = {"step": step, "metrics": dict(self._latest)}
                _append(self._run.pending_file, line)  # before a checkpoint to resume from exists
                self._started[step] = dict(self._latest)
            case PlanRevised():
                plan = [event.step, event.steps, event.position, event.evaluations]
                self._write({"step": event.step, "plan": plan})
                self._run.update(steps=event.steps)
            case Checkpointed():
                self._checkpointed(event)
            case TrainingStarted():
                same = event.engine_reason is None and self._run.status.engine == event.engine
                self._run.update(
                    state="running",
                    error=None,
                    step=event.step,
                    steps=event.steps,
                    device=event.device,
                    precision=event.precision,
                    parameters=event.parameters,
                    engine=event.engine,
                    **({} if same else {"engine_reason": event.engine_reason}),
                )
            case Finished():
                self._finished(event)
            case _:
                pass

    def _write(self, line: dict[str, Any]) -> None:
        self._remember(line)
        _append(self._run.metrics_file, {**line, "time": _now()})

    def _remember(self, line: dict[str, Any]) -> None:
        self._latest |= {key: value for key, value in line.items() if "/" in key}

    def _checkpointed(self, event: Checkpointed) -> None:
        entry = self._entry(Path(event.path))
        self._started.pop(event.step, None)
        self._run.update(step=event.step, last=entry, **({"best": entry} if event.best else {}))

    def _entry(self, checkpoint: Path) -> dict[str, Any]:
        path = checkpoint.resolve().relative_to(self._run.folder.resolve()).as_posix()
        step = step_of(checkpoint)
        return {"step": step, "path": path, "metrics": self._started.get(step, dict(self._latest))}

    def _finished(self, event: Finished) -> None:
        state = "interrupted" if event.reason == "interrupted" else "finished"
        seconds = self._run.status.seconds + event.seconds
        counted = {} if event.parameters is None else {"parameters": event.parameters}
        metrics = dict(event.metrics)
        self._run.update(state=state, step=event.step, seconds=seconds, metrics=metrics, **counted)


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics or samples file; truncated or damaged lines are skipped."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict) and isinstance(value.get("step"), int):
                    yield value


def _by_step(path: Path) -> dict[int, dict[str, Any]]:
    return {line["step"]: line for line in read_metrics(path)} if path.is_file() else {}


def _append(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _now() -> float:
    return round(time.time(), 3)
