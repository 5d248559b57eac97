"""The learning rate as a pure function of how much of the training is done."""

from __future__ import annotations

import math

from charpipe.training.settings import TrainConfig


def learning_rate(settings: TrainConfig, step: int, steps: int) -> float:
    """Of update `step` (from 0) among `steps`: rises over the warm-up, then falls as the schedule says."""
    warmup = settings.warmup * steps
    if step + 1 < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = min(1.0, max(0.0, (step + 1 - warmup) / max(1.0, steps - warmup)))
    left = {"constant": 1.0, "linear": 1.0 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[
        settings.schedule
    ]
    return settings.learning_rate * (settings.final_learning_rate + (1 - settings.final_learning_rate) * left)
