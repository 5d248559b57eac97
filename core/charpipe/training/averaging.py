"""A running mean of the weights (Polyak, Juditsky 1992, as exponential decay): less noisy than the last weights.

It is what is scored, sampled and kept as the model; the weights that training goes on from are kept beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from charpipe.errors import RunError
from charpipe.models.bundle import tensors

EARLY = 10
"""Early on the mean forgets faster, `(1 + n) / (10 + n)` after n updates, so that the first weights do not linger."""


class Average:
    """`network` has the averaged weights; `update` takes in those of the network that is trained."""

    def __init__(self, trained: nn.Module, decay: float) -> None:
        self._trained, self._decay = trained, decay
        self.network = copy.deepcopy(trained).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Move towards the weights of now, which so many updates have made."""
        share = 1 - min(self._decay, (1 + updates) / (EARLY + updates))
        torch._foreach_lerp_(list(self.network.parameters()), list(self._trained.parameters()), share)

    @torch.no_grad()
    def restore(self, averaged: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> None:
        """As a checkpoint kept them: the model's tensors, and the weights that training goes on from.

        Raises RunError where it has others.
        """
        mine = tensors(self._trained)
        if {name: t.shape for name, t in trained.items()} != {name: t.shape for name, t in mine.items()}:
            raise RunError("the checkpoint lacks the weights that its average is of; name an earlier one")
        self.network.load_state_dict(averaged, strict=False)
        self._trained.load_state_dict(trained, strict=False)

    @torch.no_grad()
    def settle(self) -> None:
        """Give the trained network the averaged weights: training has ended."""
        self._trained.load_state_dict(self.network.state_dict())
