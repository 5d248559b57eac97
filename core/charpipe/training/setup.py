"""What a training is set up with: its data, device, precision and engine. None of it changes while the model trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from charpipe.config.settings.training import TrainConfig
from charpipe.events import Notice
from charpipe.models import Model
from charpipe.models.engine import LossAndGrad, choose_engine, is_uncertain
from charpipe.models.precision import Precision
from charpipe.models.standard import uncompiled_cell
from charpipe.training.batches import Batches
from charpipe.training.engines import (
    OTHER_ENGINE,
    UNVERIFIED,
    amx_notice,
    check_capturable,
    engine_reason,
    requested_engine,
    try_engines,
)
from charpipe.training.group import ALONE, Group
from charpipe.training.shards import check_state_by_stream


@dataclass(frozen=True)
class Setup:
    """The fixed parts of a training; `State` has those that change."""

    model: Model
    """Its network is on `device`, in training mode."""
    settings: TrainConfig
    batches: Batches
    device: torch.device
    precision: Precision
    engine: str
    """"fast", "plain" or "cuda-graphs"."""
    loss_and_grad: LossAndGrad
    """Computes the loss and leaves the gradients with the parameters, by the engine of that name."""
    engine_reason: str | None
    """Why this engine; None for a resumed run that keeps its engine."""
    threads: int
    """Threads of the whole process on a CPU."""
    notices: tuple[Notice, ...] = ()
    """What the user should know before training starts."""
    resumed_settings: Mapping[str, Any] | None = None
    """The training settings of the checkpoint that is resumed; None in a new run."""
    group: Group = ALONE
    """The workers that train together."""


def build_setup(
    model: Model,
    batches: Batches,
    settings: TrainConfig,
    scaler: torch.amp.GradScaler,
    device: torch.device,
    precision: Precision,
    saved: Mapping[str, Any] | None = None,
    group: Group = ALONE,
) -> Setup:
    """Move the network to the device and choose the engine. `saved` is the `state.json` of the checkpoint to resume.

    Raises UsageError where the engine that was asked for cannot train this, or the batch cannot be divided into shards.
    """
    network = model.network.to(device).train()
    if settings.shards > 1:
        check_state_by_stream(model, batches.batch_size, settings.shards)
    threads = torch.get_num_threads()
    notices: list[Notice] = []
    requested = requested_engine(settings, saved, network, device, precision)
    reason = None
    if requested == "auto" and is_uncertain(network, device, precision):
        requested, reason = try_engines(network, settings, batches, precision, threads)
    engine, loss_and_grad = choose_engine(
        network, device, precision, requested, batch_size=batches.batch_size, threads=threads, scaler=scaler
    )
    uncompiled = uncompiled_cell(network)
    if uncompiled is not None and device.type == "cpu":
        notices.append(Notice(f"engine {engine}, by PyTorch, step by step: {uncompiled}", "warning"))
    if reason is not None:
        notices.append(Notice(f"engine {engine}: {reason}"))
    if saved is not None and (settings.engine, saved.get("engine"), engine) == ("auto", "fast", "plain"):
        notices.append(OTHER_ENGINE)
    if (by_amx := amx_notice(engine)) is not None:
        notices.append(by_amx)
    if engine == "cuda-graphs":
        check_capturable(settings, precision)
        notices.append(UNVERIFIED)
    if (batches.batch_size, batches.window) != (settings.batch_size, settings.window):
        notices.append(_smaller_batches(batches, settings))
    return Setup(
        model,
        settings,
        batches,
        device,
        precision,
        engine,
        loss_and_grad,
        engine_reason=reason or engine_reason(settings, saved, engine, network, device, precision),
        threads=threads,
        notices=tuple(notices),
        resumed_settings=None if saved is None else {**TrainConfig().model_dump(), **saved["settings"]},
        group=group,
    )


def _smaller_batches(batches: Batches, settings: TrainConfig) -> Notice:
    return Notice(
        f"the training split holds {len(batches.tokens):,} tokens, too few for batch_size {settings.batch_size} and "
        f"window {settings.window}: training with {batches.batch_size} and {batches.window}"
    )
