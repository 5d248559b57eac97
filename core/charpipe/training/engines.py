"""The choice of device, precision and engine, and what keeps an engine from training a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from charpipe.config.settings.training import TrainConfig, parse_budget
from charpipe.errors import UsageError
from charpipe.events import Notice
from charpipe.kernels.jit.amx_switch import SWITCH, asked_for
from charpipe.kernels.jit.processor import amx_refusal
from charpipe.models.engine import obstacle
from charpipe.models.engine.cuda_graphs import fitting_precision
from charpipe.models.engine.trial import SHARE, TRIES, choose_by_trial
from charpipe.models.precision import Precision, choose_device, choose_precision
from charpipe.training.batches import Batches

CAPTURABLE = ("adam", "adamw", "rmsprop")
"""Optimizers whose whole state is on the device."""
OTHER_ENGINE = Notice(
    "this run was trained by the engine 'fast', which cannot be used here; it continues with 'plain', whose losses "
    "differ by rounding",
    "warning",
)
UNVERIFIED = Notice(
    "the engine cuda-graphs is unverified: no measurement of it on a GPU is kept in benchmarks/results; compare its "
    "losses with those of --engine plain",
    "warning",
)


def choose_machine(
    settings: TrainConfig, network: nn.Module, batch_size: int, saved: Mapping[str, Any] | None = None
) -> tuple[torch.device, Precision]:
    """The device and the precision. A resumed run keeps the precision that it started with, on such a device."""
    device = choose_device(settings.device)
    requested = settings.precision
    if requested != "auto":
        pass
    elif saved is not None and saved["device"] == device.type:
        requested = saved["precision"]
    elif settings.engine == "cuda-graphs" and device.type == "cuda" and settings.optimizer != "rmsprop":
        requested = fitting_precision(network, batch_size)
    return device, choose_precision(requested, device)


def build_scaler(device: torch.device, precision: Precision) -> torch.amp.GradScaler:
    """Scales the loss so that float16 gradients do not underflow; disabled in other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "float16")


def requested_engine(
    settings: TrainConfig,
    saved: Mapping[str, Any] | None,
    network: nn.Module,
    device: torch.device,
    precision: Precision,
) -> str:
    """A resumed run keeps its engine where that can be used here: another one rounds differently."""
    if settings.engine != "auto" or saved is None:
        return settings.engine
    before = saved.get("engine", "plain")
    if before == "fast" and obstacle(network, device, precision) is None:
        return "fast"
    return "plain" if before == "plain" else "auto"


def engine_reason(
    settings: TrainConfig,
    saved: Mapping[str, Any] | None,
    engine: str,
    network: nn.Module,
    device: torch.device,
    precision: Precision,
) -> str | None:
    """Why this engine, where no trial decided; None for a resumed run that keeps its engine."""
    if settings.engine != "auto":
        return "asked for"
    if saved is not None and saved.get("engine", "plain") == engine:
        return None
    if engine == "fast":
        return "the fast engine can train this model on this processor"
    return f"the fast engine cannot train this: {obstacle(network, device, precision)}"


def amx_notice(engine: str) -> Notice | None:
    """What a user who asked for AMX should know where the engine does not use it."""
    refusal = amx_refusal()
    if engine != "fast" or not asked_for() or refusal is None:
        return None
    return Notice(f"{SWITCH}=1 has no effect, and the fast engine works without AMX: {refusal}")


def try_engines(
    network: nn.Module, settings: TrainConfig, batches: Batches, precision: Precision, threads: int
) -> tuple[str, str]:
    """The engine that is faster in a short trial, and why. A training too short for a trial takes the fast engine."""
    seconds = math.inf if settings.steps is not None else parse_budget(settings.budget) * SHARE / 2
    if settings.steps is not None and settings.steps * SHARE < 2 * (TRIES + 1):
        return "fast", "this training is too short to try both engines"
    streams = batches.batch_size // settings.shards
    state = network.initial_state(streams)  # type: ignore[operator]
    inputs, targets = (ids[:, :streams].contiguous() for ids in batches.read(0))
    return choose_by_trial(network, precision, threads, (inputs, targets, state), seconds)


def check_capturable(settings: TrainConfig, precision: Precision) -> None:
    """Raise UsageError where a setting keeps the update from being captured."""
    problem = None
    if settings.optimizer not in CAPTURABLE:
        problem = f"it captures {', '.join(CAPTURABLE)}, not {settings.optimizer}"
    elif settings.schedule == "one-cycle":
        problem = "one-cycle changes the momentum from step to step"
    elif settings.shards > 1:
        problem = f"it captures the update of a whole batch, not of {settings.shards} shards (train.shards)"
    elif precision == "float16" and settings.optimizer == "rmsprop":
        problem = "in float16 rmsprop waits for the device at every step; use bfloat16"
    if problem is not None:
        raise UsageError(
            f"the engine cuda-graphs cannot train this: {problem}; leave --engine out, or change that"
        )
