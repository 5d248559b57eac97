"""Finds the faster training engine: each makes a few updates on a copy, and the result is cached.

A result measured while other programs run is used only as long as they run, and is then measured again.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn

from charpipe.kernels.jit.cache import cache_folder
from charpipe.kernels.jit.processor import this_processor
from charpipe.kernels.openmp import OWN, spins_briefly
from charpipe.models.contract import State
from charpipe.models.engine.autograd import LossAndGrad
from charpipe.models.engine.other_programs import OtherPrograms, disturb_now
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
    """Median seconds per update of each engine, timed alternately; empty if `seconds` was not enough."""
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


def prefer(times: dict[str, float], *, spins: bool = False) -> tuple[str, str]:
    """The engine to use, and why, from the seconds per update of "fast" and "plain"; `spins` says that PyTorch's
    threads spin for long while they wait, so that "plain" would nearly stop beside other programs."""
    if not times:
        return "fast", "there was no time to try both"
    told = (
        f"an update took {times['fast'] * 1e3:.3g} ms with fast and {times['plain'] * 1e3:.3g} ms with plain"
    )
    if times["fast"] < MARGIN * times["plain"]:
        return "fast", told
    if spins:
        return "fast", f"{told}, whose threads spin while they wait and would slow down beside other programs"
    return "plain", told


@dataclass(frozen=True)
class Choice:
    """The result of a trial, its time, and whether other programs `disturbed` it."""

    engine: str
    reason: str
    date: str
    disturbed: bool

    def told(self) -> tuple[str, str]:
        """The engine, with the cached reason and its date."""
        return self.engine, f"{self.reason} when it was tried on {self.date}"


def choose_by_trial(
    network: nn.Module,
    precision: Precision,
    threads: int,
    window: tuple[Tensor, Tensor, State],
    seconds: float,
) -> tuple[str, str]:
    """The engine for this network and windows of this shape, and why. Cached, so that the same command gives the
    same bits; a result disturbed by other programs only until they have ended. `seconds` limits the trial."""
    path = _cache_path(network, precision, threads, window[0])
    known = _read(path)
    if known is not None and not (known.disturbed and not disturb_now(threads)):
        return known.told()
    others = OtherPrograms()
    times = _try(network, precision, threads, window, seconds)
    disturbed = others.disturb(threads)
    engine, reason = prefer(times, spins=threads > 1 and not spins_briefly())
    if disturbed:
        reason += f" while other programs used {others.cores():.1f} cores"
    if times:
        _write(path, Choice(engine, reason, date.today().isoformat(), disturbed))
    elif known is not None:
        return known.told()
    return engine, reason


def _try(
    network: nn.Module,
    precision: Precision,
    threads: int,
    window: tuple[Tensor, Tensor, State],
    seconds: float,
) -> dict[str, float]:
    """Seconds per update of each engine, on copies of the network."""
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
            return compare(updates, seconds)
    finally:
        torch.set_num_threads(before)


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


def _cache_path(network: nn.Module, precision: str, threads: int, ids: Tensor) -> Path | None:
    folder = cache_folder()
    shapes = [(name, tuple(values.shape)) for name, values in network.named_parameters()]
    waiting = [os.environ.get(name) for name in OWN]
    sizes = (shapes, precision, threads, tuple(ids.shape))
    facts = (this_processor(), torch.__version__, str(network), *sizes, waiting)
    name = hashlib.sha256(repr(facts).encode()).hexdigest()
    return folder / f"{name}.engine.json" if folder is not None else None


def _read(path: Path | None) -> Choice | None:
    with suppress(OSError, ValueError, TypeError):
        known = Choice(**json.loads(path.read_text())) if path is not None else None
        if known is not None and known.engine in ("fast", "plain"):
            return known
    return None


def _write(path: Path | None, found: Choice) -> None:
    if path is None:
        return
    half = path.with_name(f".{path.name}-{os.getpid()}")
    with suppress(OSError):
        half.write_text(json.dumps(asdict(found)))
        half.replace(path)
