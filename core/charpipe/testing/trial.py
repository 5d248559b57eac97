"""A short training of an architecture on a built-in text, and its speed beside another one's of the same size."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.config.settings.training import TrainConfig
from charpipe.errors import CharpipeError, TrainingError
from charpipe.events import Step
from charpipe.models import Model, build_model
from charpipe.models.fitted import fit
from charpipe.plugin import Architecture
from charpipe.testing.rules import where
from charpipe.training import train
from charpipe.training.speed import Speed, measure_speeds

STEPS, HIDDEN_SIZE = 20, 128
SETTINGS = TrainConfig(steps=STEPS, learning_rate=4e-3, warmup=0.0, schedule="constant", device="cpu")
SECONDS = 1.5
"""Time for measuring the speeds."""


@dataclass(frozen=True)
class Trial:
    """A training of `steps` updates: its size, the loss of the first and the last one in nats per token, its speed, and
    that of the architecture beside it. `seen` is what went wrong, if anything did, and `where`."""

    model: str
    parameters: int
    steps: int = 0
    first_loss: float | None = None
    last_loss: float | None = None
    seconds: float = 0.0
    speed: Speed | None = None
    beside: str = ""
    beside_speed: Speed | None = None
    seen: str | None = None
    where: str | None = None


def built_in_text() -> str:
    """About 80 kB of Python: charpipe's own code for training."""
    folder = Path(__file__).parents[1] / "training"
    return "".join(path.read_text("utf-8") for path in sorted(folder.glob("*.py")))


def built_in_tokens() -> tuple[NDArray[Any], int]:
    """The built-in text as tokens, one a character, and the size of the vocabulary."""
    characters, tokens = np.unique(np.array(list(built_in_text())), return_inverse=True)
    return tokens.astype(np.min_scalar_type(len(characters) - 1)), len(characters)


def try_training(architecture: Architecture, beside: Architecture | None = None) -> Trial:
    """Train the architecture for 20 steps, with 128 units where it has such a setting; then measure its speed and that
    of `beside` in turn. A count-based one is fitted to the text instead."""
    tokens, size = built_in_tokens()
    try:
        if architecture.counted:
            return _fit(architecture, tokens, size)
        return _train(architecture, beside, tokens, size)
    except Exception as error:
        text = str(error) if isinstance(error, CharpipeError) else f"{type(error).__name__}: {error}"
        return Trial(architecture.name, 0, seen=text, where=where(error))


def _train(architecture: Architecture, beside: Architecture | None, tokens: NDArray[Any], size: int) -> Trial:
    started, model, losses = time.perf_counter(), _model(architecture, size), []
    with tempfile.TemporaryDirectory() as folder:
        for event in train(model, tokens, SETTINGS, checkpoints=Path(folder)):
            if isinstance(event, Step):
                losses.append(float(event.loss))
    if not np.isfinite(losses).all():
        raise TrainingError("the loss is not finite")
    seconds = time.perf_counter() - started
    others = [] if beside is None else [_model(beside, size)]
    speeds = measure_speeds([_model(architecture, size), *others], tokens, SETTINGS, SECONDS)
    seen = None if losses[-1] < losses[0] else "the loss is not lower at the end than at the beginning"
    return Trial(
        model.title,
        model.parameters,
        len(losses),
        losses[0],
        losses[-1],
        seconds,
        speeds[0],
        others[0].title if others else "",
        speeds[1] if others else None,
        seen,
    )


def _fit(architecture: Architecture, tokens: NDArray[Any], size: int) -> Trial:
    started, fitting = time.perf_counter(), fit(architecture, architecture.config(), size, tokens)
    while True:
        try:
            next(fitting)
        except StopIteration as end:
            return Trial(architecture.name, end.value.parameters, seconds=time.perf_counter() - started)


def _model(architecture: Architecture, size: int) -> Model:
    given: Mapping[str, Any] = {"hidden_size": HIDDEN_SIZE}
    known = {key: value for key, value in given.items() if key in architecture.config.model_fields}
    return build_model(architecture, architecture.config(**known), {}, size, seed=1)
