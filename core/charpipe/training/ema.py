"""Averaged weights: an exponential moving average (EMA), less noisy than the last weights (Polyak, Juditsky 1992).

With `train.average` the averaged weights are evaluated, sampled and saved as the model. The checkpoint keeps the
weights that training continues from beside them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from charpipe.errors import RunError
from charpipe.models.bundle import tensors

EARLY_UPDATES = 10
"""After n updates the decay is at most (1 + n) / (10 + n), so that the average forgets the random first weights."""


class ExponentialMovingAverage:
    """`network` holds the averaged weights; `update` moves them towards those of the trained network."""

    def __init__(self, trained: nn.Module, decay: float) -> None:
        self._trained, self._decay = trained, decay
        self.network = copy.deepcopy(trained).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """average = decay * average + (1 - decay) * weights, after `updates` updates of the weights."""
        decay = min(self._decay, (1 + updates) / (EARLY_UPDATES + updates))
        torch._foreach_lerp_(list(self.network.parameters()), list(self._trained.parameters()), 1 - decay)

    @torch.no_grad()
    def load(self, averaged: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> None:
        """Load the averaged weights and those that training continues from, by name, as a checkpoint holds them.

        Raises RunError where `trained` has other names or shapes than the network.
        """
        own = tensors(self._trained)
        if {name: t.shape for name, t in trained.items()} != {name: t.shape for name, t in own.items()}:
            raise RunError(
                "the checkpoint holds averaged weights but not the trained ones; name an earlier checkpoint"
            )
        self.network.load_state_dict(averaged, strict=False)
        self._trained.load_state_dict(trained, strict=False)

    @torch.no_grad()
    def copy_to_trained(self) -> None:
        """Copy the averaged weights into the trained network, at the end of training."""
        self._trained.load_state_dict(self.network.state_dict())
