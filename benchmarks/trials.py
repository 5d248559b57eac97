"""Trials an hour with one and with two at a time, with the same fixed number of threads for each.

    python benchmarks/trials.py [--steps 300] [--trials 4] [--threads 1]

Each side trains the same trials (an LSTM of 1x128 with different seeds) on the same text in a new workspace, each trial
in a process of its own; the sides alternate. The time counts from the first trial's start to the last one's end, so it
includes the start of each process. Prints a line of JSON for each side, and the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch

from charpipe import stages
from charpipe.comparison import plan_comparison, train_trials
from charpipe.config import load_config
from charpipe.plugins.registry import Registry
from charpipe.stages import Context, Parallel
from charpipe.stages.processes import InProcess
from charpipe.workspace import Workspace

CHARACTERS = 1_000_000


def measure(at_once: int, trials: int, steps: int, threads: int) -> dict[str, Any]:
    """Train the trials in a new workspace; returns what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            return _measure(Path(folder), at_once, trials, steps, threads)
        finally:
            os.chdir(before)


def _measure(folder: Path, at_once: int, trials: int, steps: int, threads: int) -> dict[str, Any]:
    Path("pipelines.toml").write_text("")
    Path("text.txt").write_text(_text())
    settings = {"train.steps": steps, "train.engine": "fast", "tracking.enabled": False}
    context = Context(Workspace(folder / ".charpipe"), load_config(settings=settings), Registry())
    documents = stages.ingest(context, "text.txt")
    vocabulary = stages.learn_vocabulary(context, "text.txt", documents)
    tokens = stages.encode(context, "text.txt", documents, vocabulary)
    planned = plan_comparison(context, "text.txt", ["lstm"], [128], [1], trials, "units", tokens)
    began = time.perf_counter()
    parallel = Parallel(at_once, InProcess(threads))
    rows = train_trials(context, planned, "text.txt", tokens, vocabulary, parallel)
    seconds = time.perf_counter() - began
    assert not any(row.error for row in rows), rows
    return {
        "at_once": at_once,
        "trials": trials,
        "threads_each": threads,
        "steps": steps,
        "seconds": round(seconds, 1),
        "trials_an_hour": round(3600 * trials / seconds, 1),
        "seconds_of_training": [round(row.seconds or 0.0, 1) for row in rows],
    }


def _text() -> str:
    """Words at random, so that no text is needed."""
    dice = random.Random(1)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(2000)]
    found = " ".join(dice.choices(words, k=CHARACTERS // 6))
    return found[:CHARACTERS]


def main() -> None:
    """Measure both sides in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    best: dict[int, float] = {}
    for _ in range(given.rounds):
        for at_once in (1, 2):
            found = measure(at_once, given.trials, given.steps, given.threads)
            best[at_once] = max(best.get(at_once, 0.0), found["trials_an_hour"])
            facts = {"date": date.today().isoformat(), "torch": torch.__version__, "load": os.getloadavg()[0]}
            print(json.dumps(found | facts), flush=True)
    print(json.dumps({"two_at_once_to_one": round(best[2] / best[1], 2)}))


if __name__ == "__main__":
    main()
