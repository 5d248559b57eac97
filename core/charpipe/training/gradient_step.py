"""The end of an update: clip the gradient, step the optimizer. And its beginning: seed the random generator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from charpipe.training.optimizers import clip_gradient
from charpipe.training.setup import Setup
from charpipe.training.state import State


def clip_and_step(setup: Setup, state: State, loss: Tensor, measure: bool = False) -> dict[str, Tensor]:
    """Clip the gradient, which is in the parameters, and make the optimizer's step. Returns what an update measures."""
    state.scaler.unscale_(state.optimizer)
    grad_norm = clip_gradient(state.network, setup.settings, measure=measure)
    state.scaler.step(state.optimizer)
    state.scaler.update()

    state.loss_sum[0] += loss
    state.loss_sum[1] += 1
    return {"loss": loss} if grad_norm is None else {"loss": loss, "grad_norm": grad_norm}


def loss_factor(setup: Setup) -> float:
    """What the gradient of the mean loss is multiplied by: the window's length where the loss is the sum over it."""
    return setup.batches.window if setup.settings.loss == "sum" else 1


def seed_generator(device: torch.device, *numbers: int) -> None:
    """Seed PyTorch's generator by several numbers, so that dropout is a pure function of them."""
    number = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)  # torch.manual_seed records its caller at every step
    else:
        torch.manual_seed(number)
