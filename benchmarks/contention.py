"""Speed beside other programs: training by each engine and by a plain loop, evaluation, sampling and inspection,
with none, one and two processes that keep a core busy.

    python benchmarks/contention.py [--quick] [--output benchmarks/results/FILE.md]

Rounds are interleaved; a figure is the median of its rounds, in characters a second. `idle` is what the machine was
without the processes of this script: the share of processor time that others used is shown.
"""

from __future__ import annotations

import charpipe  # noqa: F401  # first: it says how OpenMP's threads wait, before torch is imported

# ruff: isort: split
import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
import torch
from plain_loop import CHARACTERS
from updates import our_model, our_training, our_update, plain_update

from charpipe.evaluation import score
from charpipe.generation import SampleConfig, sample
from charpipe.inspection.activations import read
from charpipe.kernels.jit.processor import this_processor
from charpipe.models import NetworkPredictor
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry

SHAPE = (1, 256, 32, 64)
CONDITIONS = (0, 1, 2)
Row = tuple[Callable[[], object], int]
"""What is done once, and the characters of it."""


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Processes that each keep a core busy."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.2)
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def speed(row: Row, seconds: float) -> float:
    """Characters a second over about so many seconds."""
    work, characters = row
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        count += 1
    return count * characters / (time.perf_counter() - began)


def others() -> float:
    """Processor seconds that this machine spent outside this process."""
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    mine = os.times()
    return (user + nice + system) / os.sysconf("SC_CLK_TCK") - mine.user - mine.system


def rows() -> dict[str, Row]:
    """Each row of the table."""
    cpu, inputs = torch.device("cpu"), SHAPE[2] * SHAPE[3]
    found: dict[str, Row] = {}
    for arch in ("lstm", "gru", "rnn"):
        for engine in ("auto", "fast", "plain"):
            setup, state = our_training(arch, SHAPE, "cpu", "auto", engine)
            name = f"{engine} ({setup.engine})" if engine == "auto" else engine
            found[f"training, {arch}, {name}"] = our_update(setup, state), inputs
        low = setup.precision == "bfloat16"
        found[f"training, {arch}, plain PyTorch loop"] = plain_update(arch, SHAPE, cpu, low), inputs
    model = our_model("lstm", *SHAPE[:2])
    vocabulary = {"characters": CHARACTERS}
    encoding = resolve(Registry().all("tokenizer")["char"].load)(model.vocabulary or vocabulary)
    text = (CHARACTERS * 200)[:4000]
    tokens = np.resize(encoding.encode(text), 8_000)
    network, size = model.network, encoding.size
    score_in = NetworkPredictor(network, size)
    found["evaluation, lstm"] = lambda: score(score_in, tokens), len(tokens)
    for engine, length in (("arrays", 200), ("compiled", 200), ("compiled", 2000), ("plain", 200)):
        settings = SampleConfig(length=length, engine=engine)
        found[f"sampling, lstm, {engine}, {length:,} characters"] = (
            lambda given=settings: sample(model.predictor(), encoding, given),
            length,
        )
    found["inspection, lstm"] = lambda: read(model.predictor(), encoding, text[:500]), 500
    return found


def measure(table: dict[str, Row], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Median speed of each row under each condition."""
    found: dict[str, list[list[float]]] = {name: [[] for _ in CONDITIONS] for name in table}
    for row in table.values():
        row[0](), row[0]()
    for _ in range(rounds):
        for condition in CONDITIONS:
            with busy(condition):
                for name, row in table.items():
                    found[name][condition].append(speed(row, seconds))
    return {name: [median(each) for each in values] for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    rounds, seconds = (1, 0.4) if given.quick else (5, 1.0)
    table = rows()
    before, began = others(), time.perf_counter()
    time.sleep(1)
    foreign = (others() - before) / (time.perf_counter() - began)
    here = this_processor()
    lines = [
        f"# Speed beside other programs, {date.today()}",
        "",
        f"{here.name if here else platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, layers x "
        f"units x streams x window {'x'.join(map(str, SHAPE))}; GOMP_SPINCOUNT "
        f"{os.environ.get('GOMP_SPINCOUNT')}, OMP_WAIT_POLICY {os.environ.get('OMP_WAIT_POLICY')}. Before the first "
        f"round other programs used {foreign:.2f} cores. Medians of {rounds} rounds, thousand characters a second. "
        "The plain loop runs in this process, so that its threads wait as charpipe's do.",
        "",
        "| what | idle | one busy | two busy | one / idle | two / idle |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (idle, one, two) in measure(table, rounds, seconds).items():
        figures = " | ".join(f"{each / 1000:.1f}" for each in (idle, one, two))
        lines.append(f"| {name} | {figures} | {one / idle:.2f} | {two / idle:.2f} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if given.output is not None:
        given.output.write_text(text)


if __name__ == "__main__":
    main()
