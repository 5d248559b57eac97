"""What shards and workers cost: the exchange's share of an update by parameters and by workers, all on this machine;
and an update in one process with one shard and with four.

    python benchmarks/exchange.py [--quick] [--output benchmarks/results/FILE.md]

Each worker is a process with one thread. Before each exchange the workers wait for each other, so that the time that
one waits for a slower one is counted by itself. On a machine with fewer cores than workers, they wait for cores too:
the figures say what the exchange costs, not how training scales.
"""

from __future__ import annotations

import charpipe  # noqa: F401  # first: it says how OpenMP's threads wait, before torch is imported

# ruff: isort: split
import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch
import torch.distributed as dist
from torch import Tensor
from updates import our_model, our_training, our_update

from charpipe.kernels.jit.processor import this_processor
from charpipe.models import Model
from charpipe.training.follower import Job, follow
from charpipe.training.group import ALONE, Command
from charpipe.training.leader import leading
from charpipe.training.orders import UpdateOrder
from charpipe.training.process_group import ProcessGroup
from charpipe.training.setup import Setup
from charpipe.training.state import State
from charpipe.training.torchrun import INTERFACE

SHAPES = [(1, 128, 32, 64), (1, 256, 32, 64), (1, 512, 32, 64)]
"""Layers, units, streams, window."""
SHARDS = 4
WORKERS = (1, 2, 4)
WARM_UP = 3


@dataclass
class Times:
    """Seconds of each update: in all, waiting for the other workers, in the exchange, and for orders."""

    updates: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    exchanges: list[float] = field(default_factory=list)
    orders: list[float] = field(default_factory=list)

    def medians(self) -> dict[str, float]:
        return {name: median(values[WARM_UP:]) if values else 0.0 for name, values in vars(self).items()}


class MeasuredGroup(ProcessGroup):
    """A group that measures where its time goes."""

    def __init__(self) -> None:
        super().__init__()
        self.times = Times()

    def give(self, command: Command, update: UpdateOrder | None = None) -> None:
        started = time.perf_counter()
        super().give(command, update)
        if command is Command.UPDATE:
            self.times.orders.append(time.perf_counter() - started)

    def _exchange(self, parts: list[Tensor], shards: int) -> Tensor:
        started = time.perf_counter()
        dist.barrier(group=self._gradients["cpu"])
        waited = time.perf_counter()
        found = super()._exchange(parts, shards)
        self.times.waits.append(waited - started)
        self.times.exchanges.append(time.perf_counter() - waited)
        return found


def training(shape: tuple[int, ...], shards: int, **more: Any) -> tuple[Setup, State]:
    return our_training("lstm", shape, "cpu", "float32", "fast", shards=shards, **more)


def work(updates: int) -> None:
    """What each worker process does; rank 0 prints its times, one JSON object a line for each shape."""
    torch.set_num_threads(1)
    if os.environ["WORLD_SIZE"] == "1":
        for shape in SHAPES:
            measure(*training(shape, SHARDS), updates, Times())
        return
    group = MeasuredGroup()
    if group.rank:
        follow(group, build)
        return
    for shape in SHAPES:
        setup, state = training(shape, SHARDS, group=group)
        group.times = Times()
        with leading(setup, state):
            measure(setup, state, updates, group.times)
    group.end()


def measure(setup: Setup, state: State, updates: int, times: Times) -> None:
    update = our_update(setup, state)
    for _ in range(updates + WARM_UP):
        started = time.perf_counter()
        update()
        times.updates.append(time.perf_counter() - started)
    print(json.dumps({"parameters": setup.model.parameters, **times.medians()}), flush=True)


def build(job: Job) -> Model:
    config = job["config"]
    return our_model(job["architecture"], config["layers"], config["hidden_size"])


def by_workers(updates: int) -> Iterator[str]:
    """The rows of the first table."""
    for workers in WORKERS:
        for found in run_workers(workers, updates):
            milliseconds = {name: value * 1e3 for name, value in found.items()}
            exchange = found["exchanges"] + found["orders"]
            yield (
                f"| {found['parameters']:,} | {workers} | {milliseconds['updates']:.1f} | "
                f"{milliseconds['exchanges']:.1f} | {milliseconds['orders']:.1f} | {milliseconds['waits']:.1f} | "
                f"{exchange / found['updates']:.0%} |"
            )


def run_workers(workers: int, updates: int) -> list[dict[str, float]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(workers)}
    environment = os.environ | meeting | {INTERFACE: "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--work", str(updates)]
    processes = [
        subprocess.Popen(command, env=environment | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(workers)
    ]
    lines = [process.communicate()[0] for process in processes]
    return [json.loads(line) for line in lines[0].splitlines()]


def by_shards(rounds: int) -> Iterator[str]:
    """The rows of the second table: one process, in alternate rounds of updates with one shard and with four."""
    for threads in (1, psutil.cpu_count(logical=False) or 1):
        torch.set_num_threads(threads)
        for shape in SHAPES:
            updates: dict[int, Callable[[], None]] = {}
            for shards in (1, SHARDS):
                setup, state = training(shape, shards, group=ALONE)
                updates[shards] = our_update(setup, state)
            wall: dict[int, list[float]] = {shards: [] for shards in updates}
            cpu: dict[int, list[float]] = {shards: [] for shards in updates}
            for number in range(rounds + 1):
                for shards, update in updates.items():
                    started, used = time.perf_counter(), time.process_time()
                    for _ in range(WARM_UP):
                        update()
                    if number:
                        wall[shards].append((time.perf_counter() - started) / WARM_UP * 1e3)
                        cpu[shards].append((time.process_time() - used) / WARM_UP * 1e3)
            one, four = (median(wall[shards]) for shards in (1, SHARDS))
            cpu_one, cpu_four = (median(cpu[shards]) for shards in (1, SHARDS))
            yield (
                f"| {setup.model.parameters:,} | {threads} | {one:.1f} | {four:.1f} | {cpu_one:.1f} | {cpu_four:.1f} | "
                f"{cpu_four / cpu_one:.2f} |"
            )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--quick", action="store_true", help="a few updates only, to see that it works")
    options.add_argument("--updates", type=int, default=12, help="updates of each kind (12)")
    options.add_argument("--output", type=Path)
    options.add_argument("--work", type=int, metavar="UPDATES", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.work is not None:
        work(chosen.work)
        return
    count = 2 if chosen.quick else chosen.updates
    load = os.getloadavg()[0]
    here = this_processor()
    lines = [
        f"# The exchange of several workers, {date.today()}",
        "",
        f"{here.name if here else platform.processor()}, {psutil.cpu_count()} cores, torch {torch.__version__}; gloo "
        f"over loopback, float32, LSTM of one layer, 32 streams, windows of 64, {SHARDS} shards. Load average at the "
        f"start: {load:.1f}. Medians of {count} updates, of rank 0, in milliseconds. `exchange`: summing gradients; "
        "`orders`: agreeing on the next update; `waiting`: for slower workers; `share`: exchange and orders, of the "
        "update.",
        "",
        "| parameters | workers | update | exchange | orders | waiting | share |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *by_workers(count),
        "",
        f"## One shard and {SHARDS}, in one process",
        "",
        f"Medians of {count} alternate rounds of {WARM_UP} updates, milliseconds an update.",
        "",
        f"| parameters | threads | 1 shard, wall | {SHARDS} shards, wall | 1 shard, CPU | {SHARDS} shards, CPU | "
        "CPU ratio |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *by_shards(count),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if chosen.output is not None:
        chosen.output.write_text(text)


if __name__ == "__main__":
    main()
