"""The learning rate and the momentum as pure functions of how much of the training is done."""

from __future__ import annotations

import math

from charpipe.training.settings import TrainConfig

LOWEST = 1 / 25
"""Of its highest, where a one-cycle rate begins."""
MOMENTA = 0.95, 0.85
"""Between which the momentum of a one-cycle training goes, lowest where the rate is highest."""


def learning_rate(
    settings: TrainConfig, step: float, steps: int, steps_per_epoch: int = 1, *, made: int | None = None
) -> float:
    """Of update `step` (from 0) among `steps`: rises over the warm-up, then falls as the schedule says.

    Under a revised plan `step` is a fraction, and `made` the updates really made, which make the epochs.
    """
    highest, warmup = settings.learning_rate, settings.warmup * steps
    if step + 1 < warmup:
        risen = (step + 1) / warmup
        return highest * (LOWEST + (1 - LOWEST) * _cosine(1 - risen) if _cycles(settings) else risen)
    if settings.schedule == "by-epoch":
        return highest * settings.epoch_decay ** _falls(
            settings, int(step if made is None else made) // steps_per_epoch
        )
    done = _done(step, steps, warmup)
    left = {"constant": 1.0, "linear": 1.0 - done}.get(settings.schedule, _cosine(done))
    return highest * (settings.final_learning_rate + (1 - settings.final_learning_rate) * left)


def momentum(settings: TrainConfig, step: float, steps: int) -> float | None:
    """Of update `step` in a one-cycle training (Smith, Topin 2018): falls while the learning rate rises, and rises
    while it falls. None under other schedules: what the optimiser has."""
    if not _cycles(settings):
        return None
    slow, quick = MOMENTA
    warmup = settings.warmup * steps
    risen = (step + 1) / warmup if step + 1 < warmup else 1 - _done(step, steps, warmup)
    return slow + (quick - slow) * _cosine(1 - risen)


def _cycles(settings: TrainConfig) -> bool:
    return settings.schedule == "one-cycle"


def _falls(settings: TrainConfig, epochs: int) -> int:
    """How often the rate has fallen after so many whole epochs: char-rnn lets it fall at the end of the tenth."""
    return max(0, epochs - max(1, math.ceil(settings.epoch_decay_after)) + 1)


def _done(step: float, steps: int, warmup: float) -> float:
    return min(1.0, max(0.0, (step + 1 - warmup) / max(1.0, steps - warmup)))


def _cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2
