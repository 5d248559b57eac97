"""Updates to time: charpipe's by any engine, and the plain loop's, for an architecture and a shape."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from plain_loop import CHARACTERS, Shape, cell_of, compile_network, plain_network, plain_step

from charpipe.config.settings.training import TrainConfig
from charpipe.models import Model, build_model
from charpipe.plugin import Architecture, resolve
from charpipe.plugins.registry import Registry
from charpipe.training.group import ALONE, Group
from charpipe.training.initialization import initialize
from charpipe.training.setup import Setup
from charpipe.training.state import State
from charpipe.training.threads import threads_for_updates
from charpipe.training.update import build_update

WINDOWS = 8
"""The windows of a stream, after which it starts again."""
ROUND_SECONDS = 0.3
"""For each side in each round."""


def our_training(
    arch: str | Architecture,
    shape: Shape,
    device: str,
    precision: str,
    engine: str,
    registry: Registry | None = None,
    group: Group = ALONE,
    **settings: Any,
) -> tuple[Setup, State]:
    """The setup and the state of a training of `arch` on random characters; `settings` are further ones of training."""
    layers, size, streams, window = shape
    model = our_model(arch, layers, size, registry)
    count = streams * window * WINDOWS + 1
    tokens = np.random.default_rng(0).integers(len(CHARACTERS), size=count).astype(np.uint8)
    sizes = {"batch_size": streams, "window": window, "steps": 10**6}
    chosen = TrainConfig(**sizes, device=device, precision=precision, engine=engine, **settings)
    return initialize(model, tokens, chosen, group=group)


def found_architecture(arch: str | Architecture, registry: Registry | None = None) -> Architecture:
    """The architecture with this name, if it is not one already."""
    return (registry or Registry()).architecture(arch) if isinstance(arch, str) else arch


def our_model(arch: str | Architecture, layers: int, size: int, registry: Registry | None = None) -> Model:
    """A model without dropout."""
    architecture = found_architecture(arch, registry)
    cell_of(architecture)  # one that counts is refused
    wanted = {"hidden_size": size, "layers": layers, "dropout": 0.0, "recurrent_dropout": 0.0}
    known = architecture.config.model_fields
    config = architecture.config(**{name: value for name, value in wanted.items() if name in known})
    tokenizer = (registry or Registry()).all("tokenizer")["char"]
    vocabulary = resolve(tokenizer.learn)(dict.fromkeys(CHARACTERS, 1), tokenizer.config())
    return build_model(architecture, config, vocabulary, len(CHARACTERS))


def our_update(setup: Setup, state: State) -> Callable[[], None]:
    """charpipe's update, by the engine of the setup."""
    update = build_update(setup, state)

    def step() -> None:
        with threads_for_updates(setup):  # as `train` has it
            update(state.step, 1e-3)
        state.step += 1

    return step


def plain_update(
    arch: str | Architecture,
    shape: Shape,
    device: torch.device,
    autocast: bool,
    registry: Registry | None = None,
    *,
    compiled: str | None = None,
) -> Callable[[], object]:
    """The plain loop's update; with `compiled`, "step" or "window", through `torch.compile`."""
    layers, size, streams, window = shape
    model = our_model(arch, layers, size, registry)
    architecture = found_architecture(arch, registry)
    network = plain_network(architecture, model.config, model.network).to(device)
    ids = torch.randint(len(CHARACTERS), (window + 1, streams), device=device)
    state = model.network.initial_state(streams) if cell_of(architecture) is None else None  # type: ignore[operator]
    forward = network if compiled is None else compile_network(network, compiled)
    return plain_step(network, forward, ids, state, autocast=autocast)


def timed(step: Callable[[], object], device: torch.device, count: int) -> float:
    """Seconds of one step, the mean of `count`."""
    began = time.perf_counter()
    for _ in range(count):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / count


def in_turns(
    sides: dict[str, Callable[[], object]], device: torch.device, rounds: int
) -> dict[str, list[float]]:
    """Seconds of a step of each side in each round, in which all have the same time; `first` are those of each side's
    very first step."""
    first = {name: timed(step, device, 1) for name, step in sides.items()}
    steady = {name: timed(step, device, 1) for name, step in sides.items()}
    counts = {name: max(1, round(ROUND_SECONDS / seconds)) for name, seconds in steady.items()}
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, step in sides.items():
            found[name].append(timed(step, device, counts[name]))
    return found | {"first": list(first.values())}
