"""One update of the weights: read a window, compute loss and gradient, clip, step the optimizer.

T: window, B: streams (see `batches.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from charpipe.training.cuda_graph import CapturedUpdate
from charpipe.training.errors import divergence
from charpipe.training.optimizers import clip_gradient, set_rates
from charpipe.training.schedules import learning_rate, momentum
from charpipe.training.setup import Setup
from charpipe.training.state import State

FINITE_CHECK_INTERVAL = 50
"""Steps between checks of a loss that is on an accelerator, where each check waits for the device."""


class Update(Protocol):
    """One update, number `step` (from 0), by the learning rate `rate`.

    Returns what it measured by name, scalars on the device: `loss`, nats per token, of the weights before the update;
    and `grad_norm`, the gradient's L2 norm before clipping, where it is known anyway or `measure` asks for it.
    """

    def __call__(self, step: int, rate: float, measure: bool = False) -> Mapping[str, Tensor]: ...


def build_update(setup: Setup, state: State) -> Update:
    """The update of the setup's engine. It changes `state`, but for the number of its step.

    The update raises TrainingError where the loss is not finite.
    """
    compute: Update | None = None

    def update(step: int, rate: float, measure: bool = False) -> Mapping[str, Tensor]:
        nonlocal compute
        if compute is None:  # captured when it is first needed, with the state that was restored by then
            captures = setup.engine == "cuda-graphs"
            compute = CapturedUpdate(setup, state, optimize) if captures else _eager_update(setup, state)
        _seed(setup.settings.seed, step, setup.device)
        measured = compute(step, rate, measure)
        if state.ema is not None:
            state.ema.update(step + 1)
        checked = setup.device.type == "cpu" or step % FINITE_CHECK_INTERVAL == 0
        if checked and not math.isfinite(measured["loss"].item()):
            raise divergence(step + 1, setup.settings)
        return measured

    return update


def _eager_update(setup: Setup, state: State) -> Update:
    def update(step: int, rate: float, measure: bool = False) -> Mapping[str, Tensor]:
        inputs, targets = (ids.to(setup.device, non_blocking=True) for ids in setup.batches.read(step))
        if setup.batches.starts_epoch(step):
            state.recurrent = state.network.initial_state(setup.batches.batch_size)  # type: ignore[operator]
        set_rates(state.optimizer, rate, momentum(setup.settings, *schedule_position(state, step)))
        return optimize(setup, state, inputs, targets, measure)

    return update


def optimize(
    setup: Setup, state: State, inputs: Tensor, targets: Tensor, measure: bool = False
) -> dict[str, Tensor]:
    """Forward, backward and the optimizer's step on inputs and targets, int64 [T, B]. Returns what an update does."""
    state.optimizer.zero_grad(set_to_none=True)
    factor = len(inputs) if setup.settings.loss == "sum" else 1
    # truncated backpropagation: the numbers of the recurrent state are carried on, its gradient is not
    loss, state.recurrent = setup.loss_and_grad(inputs, targets, state.recurrent, factor)
    state.scaler.unscale_(state.optimizer)
    grad_norm = clip_gradient(state.network, setup.settings, measure=measure)
    state.scaler.step(state.optimizer)
    state.scaler.update()

    state.loss_sum[0] += loss
    state.loss_sum[1] += 1
    return {"loss": loss} if grad_norm is None else {"loss": loss, "grad_norm": grad_norm}


def _seed(seed: int, step: int, device: torch.device) -> None:
    """Seed PyTorch's generator, so that dropout is a pure function of (seed, step)."""
    number = int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0])
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)  # torch.manual_seed records its caller at every step
    else:
        torch.manual_seed(number)


def schedule_position(state: State, step: int) -> tuple[float, int]:
    """Where update `step` is in the learning rate's schedule: updates made, a fraction under a revised plan, of how
    many."""
    position, steps = state.plan.position(step + 1)
    return position - 1, steps


def scheduled_rate(setup: Setup, state: State) -> float:
    """The learning rate of the next update."""
    position, steps = schedule_position(state, state.step)
    return learning_rate(setup.settings, position, steps, setup.batches.steps_per_epoch, made=state.step)
