"""Whether a budget of time is kept: trainings on a machine that is idle, busy throughout, busy only in the first
quarter of the budget, and busy only in its second half.

    python benchmarks/budgets.py tiny_shakespeare.txt --output benchmarks/results/FILE.md
    python benchmarks/budgets.py tiny_shakespeare.txt --budgets 20s

Busy means one spinning process per core, started and ended by this script. `idle` is what the machine was without
them: how much processor time other programs used is shown. Beside the table, the same figures are written as JSON.
"""

from __future__ import annotations

import charpipe  # noqa: F401  # first: it says how OpenMP's threads wait, before torch is imported

# ruff: isort: split
import argparse
import json
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from contention import busy, others

from charpipe.config.settings.training import parse_budget
from charpipe.events import Event, Finished, PlanRevised, Step, TrainingStarted
from charpipe.kernels.jit.processor import this_processor
from charpipe.models import build_model
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry
from charpipe.training import TrainConfig, train

CONDITIONS: dict[str, Callable[[float], bool]] = {
    "idle": lambda share: False,
    "busy": lambda share: True,
    "busy in the first quarter": lambda share: share < 0.25,
    "busy in the second half": lambda share: share >= 0.5,
}
"""Whether the machine is to be busy once this share of the budget is spent."""
HELD_OUT = 0.1


@dataclass
class Measurement:
    """What one training did."""

    condition: str
    budget: str
    planned: int
    revisions: int
    steps: int
    seconds: float
    deviation: float
    """Of the seconds from the budget, in percent."""
    loss: float
    foreign: float
    """Cores that other processes used meanwhile, this script's spinning ones included."""


class Load:
    """Keeps every core busy, or not, as it is told."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._busy = False

    def set(self, wanted: bool) -> None:
        """Start or end the spinning processes."""
        if wanted and not self._busy:
            self._running.enter_context(busy(os.cpu_count() or 1))
        elif not wanted and self._busy:
            self._running.close()
        self._busy = wanted


def trained(text: str, budget: str, folder: Path, heard: Callable[[Event], None]) -> None:
    """One training of the default model on nine tenths of `text`."""
    registry = Registry()
    architecture, tokenizer = registry.architecture("lstm"), registry.tokenizer("char")
    vocabulary = resolve(tokenizer.learn)(Counter(text), tokenizer.config())
    encoding = resolve(tokenizer.load)(vocabulary)
    tokens = np.asarray(encoding.encode(text))
    cut = int(len(tokens) * (1 - HELD_OUT))
    settings = TrainConfig(budget=budget)
    model = build_model(architecture, architecture.config(), vocabulary, encoding.size, seed=settings.seed)
    for event in train(
        model, tokens[:cut], settings, validation=tokens[cut:], encoding=encoding, checkpoints=folder
    ):
        heard(event)


def measure(text: str, condition: str, budget: str) -> Measurement:
    """One row of the table."""
    wanted, seconds, load = CONDITIONS[condition], parse_budget(budget), Load()
    events: list[Event] = []

    def heard(event: Event) -> None:
        if isinstance(event, Step):
            load.set(wanted(event.seconds / seconds))
        elif isinstance(event, (TrainingStarted, PlanRevised, Finished)):
            events.append(event)

    with tempfile.TemporaryDirectory() as folder:
        try:
            load.set(wanted(0.0))
            before, began = others(), time.perf_counter()
            trained(text, budget, Path(folder), heard)
            foreign, took = others() - before, time.perf_counter() - began
        finally:
            load.set(False)
    started, finished = events[0], events[-1]
    assert isinstance(started, TrainingStarted)
    assert isinstance(finished, Finished)
    return Measurement(
        condition,
        budget,
        started.steps,
        sum(isinstance(event, PlanRevised) for event in events),
        finished.step,
        finished.seconds,
        100 * (finished.seconds / seconds - 1),
        finished.metrics["val/loss"],
        foreign / took,
    )


def where() -> dict[str, Any]:
    """The machine."""
    here = this_processor()
    kind = here.name if here else platform.machine()
    return {"processor": kind, "cores": os.cpu_count(), "torch": torch.__version__, "date": str(date.today())}


def table(results: list[Measurement], machine: dict[str, Any], name: str) -> str:
    """The results as markdown."""
    lines = [
        f"# Budgets of time, {machine['date']}",
        "",
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}; {name}, the default model. Busy "
        "means one spinning process per core. The load is what all other processes used on average, those "
        "included, in cores.",
        "",
        "| budget | machine | planned steps | revisions | steps | seconds | deviation | validation, nats | load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.budget} | {row.condition} | {row.planned:,} | {row.revisions} | {row.steps:,} | {row.seconds:.1f} | "
        f"{row.deviation:+.1f} % | {row.loss:.3f} | {row.foreign:.2f} |"
        for row in results
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path)
    parser.add_argument("--budgets", nargs="+", default=["20s", "1m", "2m"])
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=CONDITIONS)
    parser.add_argument(
        "--output", type=Path, help="write the table to this file, and the figures as JSON beside it"
    )
    given = parser.parse_args()
    text, machine, results = given.text.read_bytes().decode("utf-8"), where(), []
    for budget in given.budgets:
        for condition in given.conditions:
            results.append(measure(text, condition, budget))
            print(json.dumps(asdict(results[-1])), flush=True)
    told = table(results, machine, given.text.name)
    print(f"\n{told}")
    if given.output is not None:
        given.output.write_text(told)
        figures = {"where": machine, "found": [asdict(row) for row in results]}
        given.output.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
