"""Which engine trains faster here: both make a few updates on a copy, and the answer is remembered."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn

from charpipe.kernels.jit.cache import cache_folder
from charpipe.kernels.jit.processor import this_processor
from charpipe.models.contract import State
from charpipe.models.engine.autograd import LossAndGrad
from charpipe.models.engine.selection import choose_engine
from charpipe.models.precision import Precision

MARGIN = 1.25
"""How much faster PyTorch's layers must be: the other engine keeps more of its speed when other programs run."""
TRIES = 3
"""Updates that are timed of each engine, after one that compiles."""
SHARE = 0.03
"""Of a training, for trying."""
Update = Callable[[], object]


def compare(
    updates: dict[str, Update], seconds: float, clock: Callable[[], float] = perf_counter
) -> dict[str, float]:
    """Median seconds of an update of each engine, timed in turns; empty where `seconds` did not suffice."""
    began = clock()
    found: dict[str, list[float]] = {name: [] for name in updates}
    for round_ in range(TRIES + 1):
        for name, update in updates.items():
            before = clock()
            update()
            if round_:
                found[name].append(clock() - before)
        if clock() - began > seconds:
            break
    return {name: median(times) for name, times in found.items()} if all(found.values()) else {}


def prefer(times: dict[str, float]) -> tuple[str, str]:
    """The engine to take, and why, from the seconds of an update of "fast" and "plain"."""
    if not times:
        return "fast", "there was no time to try both"
    speed = times["fast"] / times["plain"]
    told = (
        f"an update took {times['fast'] * 1e3:.3g} ms with fast and {times['plain'] * 1e3:.3g} ms with plain"
    )
    return ("plain" if speed >= MARGIN else "fast"), told


def choose_by_trial(
    network: nn.Module,
    precision: Precision,
    threads: int,
    window: tuple[Tensor, Tensor, State],
    seconds: float,
) -> tuple[str, str]:
    """The engine for this network and windows of this shape, and why. Remembered, so that the same command gives the
    same bits; `seconds` limits the trial."""
    place = _place(network, precision, threads, window[0])
    if (known := _read(place)) is not None:
        return known
    cpu = torch.device("cpu")
    updates: dict[str, Update] = {}
    for engine in ("fast", "plain"):
        trained = copy.deepcopy(network)
        batch_size = window[0].shape[1]
        _, loss_and_grad = choose_engine(
            trained, cpu, precision, engine, batch_size=batch_size, threads=threads
        )
        updates[engine] = _update(trained, loss_and_grad, window, 1 if engine == "fast" else threads)
    before = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):
            found = prefer(compare(updates, seconds))
    finally:
        torch.set_num_threads(before)
    _keep(place, found)
    return found


def _update(
    network: nn.Module,
    loss_and_grad: LossAndGrad,
    window: tuple[Tensor, Tensor, State],
    threads: int,
) -> Update:
    def update() -> object:
        torch.set_num_threads(threads)
        network.zero_grad(set_to_none=True)
        return loss_and_grad(*window, 1.0)

    return update


def _place(network: nn.Module, precision: str, threads: int, ids: Tensor) -> Path | None:
    folder = cache_folder()
    shapes = [(name, tuple(values.shape)) for name, values in network.named_parameters()]
    facts = (this_processor(), torch.__version__, str(network), shapes, precision, threads, tuple(ids.shape))
    name = hashlib.sha256(repr(facts).encode()).hexdigest()
    return folder / f"{name}.engine.json" if folder is not None else None


def _read(place: Path | None) -> tuple[str, str] | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(place.read_text()) if place is not None else {}
        if kept["engine"] in ("fast", "plain"):
            return kept["engine"], f"{kept['reason']} when it was tried"
    return None


def _keep(place: Path | None, found: tuple[str, str]) -> None:
    if place is None:
        return
    half = place.with_name(f".{place.name}-{os.getpid()}")
    with suppress(OSError):
        half.write_text(json.dumps({"engine": found[0], "reason": found[1]}))
        half.replace(place)
