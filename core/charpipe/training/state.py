"""What changes while a model trains. A checkpoint holds all of it (`snapshot.py`), and nothing else changes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from charpipe.models import State as RecurrentState
from charpipe.models.engine import choose_engine
from charpipe.training.ema import ExponentialMovingAverage
from charpipe.training.engines import build_scaler
from charpipe.training.measurements import Measurements
from charpipe.training.optimizers import build_optimizer
from charpipe.training.plan import Plan
from charpipe.training.setup import Setup


@dataclass
class State:
    """A training after `step` of `plan.steps` updates."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    recurrent: RecurrentState
    """What the network carries from one window to the next, detached: named tensors, batch in dimension 1."""
    loss_sum: Tensor
    """Sum of the losses since the last evaluation, and their number: float32 [2], on the device."""
    ema: ExponentialMovingAverage | None = None
    step: int = 0
    plan: Plan = field(default_factory=lambda: Plan.of(0))
    seconds: float = 0.0
    """Training time of earlier processes."""
    validation_tokens: int = 0
    """Validation tokens that each evaluation scores, the same ones throughout a run; 0: not decided yet."""
    best: Mapping[str, float] | None = None
    """The best evaluation so far: its `step` and its validation `loss`, nats per token."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the last evaluation."""
    measurements: Measurements = field(default_factory=Measurements)
    """Of the updates since the last report."""

    @property
    def steps(self) -> int:
        """Updates in all, as planned now."""
        return self.plan.steps

    @property
    def evaluated_network(self) -> nn.Module:
        """The network that is evaluated, sampled and saved as the model: with averaged weights, if there are any."""
        return self.ema.network if self.ema is not None else self.network


def new_state(setup: Setup, scaler: torch.amp.GradScaler) -> State:
    """The state before the first update, with the weights that the network has now."""
    network, settings = setup.model.network, setup.settings
    return State(
        network=network,
        optimizer=build_optimizer(network, settings),
        scaler=scaler,
        recurrent=network.initial_state(setup.batches.batch_size),  # type: ignore[operator]
        loss_sum=torch.zeros(2, device=setup.device),
        ema=ExponentialMovingAverage(network, settings.average) if settings.average else None,
    )


def copy_to_measure(setup: Setup, state: State) -> tuple[Setup, State]:
    """A copy to time updates with, which leaves the training as it is."""
    scaler = build_scaler(setup.device, setup.precision)
    network = copy.deepcopy(state.network)
    engine, loss_and_grad = choose_engine(
        network,
        setup.device,
        setup.precision,
        setup.engine,
        batch_size=setup.batches.batch_size,
        threads=setup.threads,
        scaler=scaler,
    )
    copied = State(
        network=network,
        optimizer=build_optimizer(network, setup.settings),
        scaler=scaler,
        recurrent=dict(state.recurrent),
        loss_sum=state.loss_sum.clone(),
    )
    return replace(setup, engine=engine, loss_and_grad=loss_and_grad), copied
