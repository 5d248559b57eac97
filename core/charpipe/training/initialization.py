"""Where a training starts: a new model, a checkpoint to resume, or another run's checkpoint (warm start)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from charpipe.config.settings.training import TrainConfig
from charpipe.models import Model
from charpipe.training.batches import fit_batches
from charpipe.training.checkpoints import read_checkpoint
from charpipe.training.engines import build_scaler, choose_machine
from charpipe.training.group import ALONE, Group
from charpipe.training.optimizers import load_optimizer_state
from charpipe.training.setup import Setup, build_setup
from charpipe.training.snapshot import restore
from charpipe.training.state import State, new_state
from charpipe.training.warm_start import WarmStartCheckpoint, load_warm_start


def initialize(
    model: Model,
    tokens: NDArray[Any],
    settings: TrainConfig,
    resume: Path | None = None,
    warm_start: WarmStartCheckpoint | None = None,
    group: Group = ALONE,
) -> tuple[Setup, State]:
    """The setup and the state of a training, on its device. `resume`, a checkpoint of this run, wins over `warm_start`.

    Raises UsageError where there is nothing to train on, or the workers of `group` cannot divide it among themselves;
    RunError where the checkpoint does not fit.
    """
    group.check(settings.shards)
    sizes = settings.batch_size, settings.window
    batches = fit_batches(tokens, *sizes, settings.seed, model.vocabulary_size, shards=settings.shards)
    checkpoint = read_checkpoint(resume, model, settings, len(tokens)) if resume else None
    saved = checkpoint.state if checkpoint is not None else None
    optimizer_state = {}
    if saved is not None:
        batches = replace(batches, offset=int(saved.get("offset", 0)))
    elif warm_start is not None:
        batches = replace(batches, offset=warm_start.offset)
        optimizer_state = load_warm_start(warm_start, model, settings)

    device, precision = choose_machine(settings, model.network, batches.batch_size, saved)
    device = group.place(device)
    scaler = build_scaler(device, precision)
    setup = build_setup(model, batches, settings, scaler, device, precision, saved, group)
    state = new_state(setup, scaler)
    if optimizer_state:
        load_optimizer_state(state.optimizer, state.network, optimizer_state)
    if checkpoint is not None:
        restore(state, checkpoint, device)
    return setup, state
