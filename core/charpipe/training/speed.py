"""Measure how fast models train on this machine, by a few updates of each; nothing of them is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from numpy.typing import NDArray

from charpipe.config.settings.training import TrainConfig
from charpipe.models import Model
from charpipe.training.determinism import determinism
from charpipe.training.errors import out_of_memory_as_training_error
from charpipe.training.initialization import initialize
from charpipe.training.threads import threads_for_updates
from charpipe.training.update import build_update

WARM_UP = 2
"""Updates before the first that counts: they compile kernels, allocate memory and warm caches up."""
LEAST, MOST = 3, 50
"""Updates that count, of each model."""
RATE = 1e-6
"""The learning rate while measuring: too low to make a loss diverge."""


@dataclass(frozen=True)
class Speed:
    """How fast a model trains here: tokens a second, by the median of `updates` updates; its engine, and why it."""

    tokens_per_second: float
    updates: int
    engine: str
    engine_reason: str | None
    device: str


def measure_speeds(
    models: Sequence[Model], tokens: NDArray[Any], settings: TrainConfig, seconds: float
) -> list[Speed]:
    """The speeds of several models, which make their updates in turn, so that what else the machine does meanwhile
    slows all of them. Takes about `seconds` after the warm-up, at least LEAST updates of each. Raises UsageError,
    TrainingError."""
    with ExitStack() as stack:
        stack.enter_context(out_of_memory_as_training_error(settings))
        stack.enter_context(determinism(settings))
        started = [initialize(model, tokens, settings) for model in models]
        updates = [build_update(setup, state) for setup, state in started]
        times: list[list[float]] = [[] for _ in models]
        for step in range(WARM_UP + MOST):
            for (setup, _), update, taken in zip(started, updates, times, strict=True):
                with threads_for_updates(setup):
                    before = time.perf_counter()
                    update(step, RATE)["loss"].item()
                    taken.append(time.perf_counter() - before)
            spent = sum(sum(taken[WARM_UP:]) for taken in times)
            if step + 1 >= WARM_UP + LEAST and spent > seconds:
                break
    return [
        Speed(
            setup.batches.tokens_per_step / max(1e-9, median(taken[WARM_UP:])),
            len(taken) - WARM_UP,
            setup.engine,
            setup.engine_reason,
            str(setup.device),
        )
        for (setup, _), taken in zip(started, times, strict=True)
    ]
