"""The learning rate and the momentum as pure functions of how much of the training is done."""

from __future__ import annotations

import math

from charpipe.config.settings.training import TrainConfig

ONE_CYCLE_START = 1 / 25
"""The learning rate at which one-cycle starts, as a share of its maximum."""
ONE_CYCLE_MOMENTUM = 0.95, 0.85
"""Momentum of one-cycle where the learning rate is lowest and where it is highest."""


def learning_rate(
    settings: TrainConfig, step: float, steps: int, steps_per_epoch: int = 1, *, made: int | None = None
) -> float:
    """The learning rate of update `step` (from 0) of `steps`: it rises over the warm-up, then follows the schedule.

    Under a revised plan `step` is a fraction; epochs are counted from `made`, the number of updates really made.
    """
    peak, warmup = settings.learning_rate, settings.warmup * steps
    if step + 1 < warmup:
        risen = (step + 1) / warmup
        return peak * (
            ONE_CYCLE_START + (1 - ONE_CYCLE_START) * _cosine(1 - risen) if _is_one_cycle(settings) else risen
        )
    if settings.schedule == "by-epoch":
        return peak * settings.epoch_decay ** _decays(
            settings, int(step if made is None else made) // steps_per_epoch
        )
    done = _progress(step, steps, warmup)
    left = {"constant": 1.0, "linear": 1.0 - done}.get(settings.schedule, _cosine(done))
    return peak * (settings.final_learning_rate + (1 - settings.final_learning_rate) * left)


def momentum(settings: TrainConfig, step: float, steps: int) -> float | None:
    """The momentum of update `step` under one-cycle (Smith, Topin 2018): it falls while the learning rate rises, and
    rises while it falls. None under other schedules: the optimizer keeps its own."""
    if not _is_one_cycle(settings):
        return None
    at_low, at_peak = ONE_CYCLE_MOMENTUM
    warmup = settings.warmup * steps
    risen = (step + 1) / warmup if step + 1 < warmup else 1 - _progress(step, steps, warmup)
    return at_low + (at_peak - at_low) * _cosine(1 - risen)


def _is_one_cycle(settings: TrainConfig) -> bool:
    return settings.schedule == "one-cycle"


def _decays(settings: TrainConfig, epochs: int) -> int:
    """How many decays there were after `epochs` whole epochs: char-rnn's first is at the end of the tenth."""
    return max(0, epochs - max(1, math.ceil(settings.epoch_decay_after)) + 1)


def _progress(step: float, steps: int, warmup: float) -> float:
    return min(1.0, max(0.0, (step + 1 - warmup) / max(1.0, steps - warmup)))


def _cosine(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2
