"""A run's metrics as curves over steps and over time, and its samples by step, read from its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from charpipe.runs import Run
from charpipe.runs.recorder import read_metrics

LONG_PAUSE = 60.0
"""A gap longer than this, and than 20 times the usual interval, is a pause between two sessions and not training
time."""


@dataclass(frozen=True)
class Point:
    """`value` was measured after `step` updates and `seconds` of training."""

    step: int
    seconds: float
    value: float


@dataclass
class RunHistory:
    """Curves by metric, each in order of steps; `samples` as `{"step", "prompt", "text"}`; and whether pauses between
    sessions were excluded from the seconds."""

    curves: dict[str, list[Point]] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    paused: bool = False

    def curve(self, metric: str) -> list[Point]:
        """The points of a metric; empty if it was not measured."""
        return self.curves.get(metric, [])


def read_history(run: Run) -> RunHistory:
    """Read a run's history so far. Of two values at one step the first is used: the later one is a score of whole
    splits, which is not comparable with the slices evaluated during training."""
    lines = list(read_metrics(run.metrics_file)) if run.metrics_file.is_file() else []
    history = RunHistory(samples=_samples(run))
    clock, history.paused = _clock([_number(line.get("time")) for line in lines])
    seen: set[tuple[str, int]] = set()
    for line, seconds in zip(lines, clock, strict=True):
        for metric, value in line.items():
            key = (metric, line["step"])
            if "/" in metric and isinstance(value, int | float) and key not in seen:
                seen.add(key)
                history.curves.setdefault(metric, []).append(Point(line["step"], seconds, float(value)))
    for points in history.curves.values():
        points.sort(key=lambda point: point.step)
    return history


def _samples(run: Run) -> list[dict[str, Any]]:
    if not run.samples_file.is_file():
        return []
    found = [
        {"step": line["step"], "prompt": str(line.get("prompt", "")), "text": str(line.get("text", ""))}
        for line in read_metrics(run.samples_file)
    ]
    latest = {
        int(sample["step"]): sample for sample in found
    }  # the later of two at one step: the final sample
    return [latest[step] for step in sorted(latest)]


def _clock(times: list[float]) -> tuple[list[float], bool]:
    """Seconds since the first line, with pauses between sessions counted as an ordinary interval; and whether there
    were any."""
    gaps = [max(later - earlier, 0.0) for earlier, later in pairwise(times)]
    usual = median(gaps) if gaps else 0.0
    longest = max(LONG_PAUSE, 20 * usual)
    clock = [0.0] if times else []
    for gap in gaps:
        clock.append(clock[-1] + (usual if gap > longest else gap))
    return clock, any(gap > longest for gap in gaps)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
