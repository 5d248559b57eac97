"""One update of the weights: read a window, compute loss and gradient, clip, step the optimizer.

T: window, B: streams (see `batches.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from charpipe.training.cuda_graph import CapturedUpdate
from charpipe.training.errors import divergence
from charpipe.training.gradient_step import clip_and_step, loss_factor, seed_generator
from charpipe.training.group import Command
from charpipe.training.optimizers import set_rates
from charpipe.training.orders import UpdateOrder
from charpipe.training.schedules import learning_rate, momentum
from charpipe.training.setup import Setup
from charpipe.training.sharded_update import ShardedUpdate
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
            compute = _computation(setup, state)
        seed_generator(
            setup.device, setup.settings.seed, step
        )  # so dropout is a pure function of (seed, step)
        measured = compute(step, rate, measure)
        if state.ema is not None:
            state.ema.update(step + 1)
        checked = setup.device.type == "cpu" or step % FINITE_CHECK_INTERVAL == 0
        if checked and not math.isfinite(measured["loss"].item()):
            raise divergence(step + 1, setup.settings)
        return measured

    return update


def _computation(setup: Setup, state: State) -> Update:
    if setup.engine == "cuda-graphs":
        return CapturedUpdate(setup, state, optimize)
    return _sharded_update(setup, state) if setup.settings.shards > 1 else _eager_update(setup, state)


def _sharded_update(setup: Setup, state: State) -> Update:
    compute = ShardedUpdate(setup, state)

    def update(step: int, rate: float, measure: bool = False) -> Mapping[str, Tensor]:
        inputs, targets = setup.batches.read(step)
        ids = torch.cat([inputs, targets[-1:]])
        current = momentum(setup.settings, *schedule_position(state, step))
        order = UpdateOrder(step, rate, current, setup.batches.starts_epoch(step), ids)
        setup.group.give(Command.UPDATE, order)
        return compute(order, measure)

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
    # truncated backpropagation: the numbers of the recurrent state are carried on, its gradient is not
    loss, state.recurrent = setup.loss_and_grad(inputs, targets, state.recurrent, loss_factor(setup))
    return clip_and_step(setup, state, loss, measure)


def schedule_position(state: State, step: int) -> tuple[float, int]:
    """Where update `step` is in the learning rate's schedule: updates made, a fraction under a revised plan, of how
    many."""
    position, steps = state.plan.position(step + 1)
    return position - 1, steps


def scheduled_rate(setup: Setup, state: State) -> float:
    """The learning rate of the next update."""
    position, steps = schedule_position(state, state.step)
    return learning_rate(setup.settings, position, steps, setup.batches.steps_per_epoch, made=state.step)
