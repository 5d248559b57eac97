"""The order of the data: contiguous streams through the corpus, a pure function of (seed, step)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charpipe.errors import UsageError
from charpipe.models.contract import check_ids

WINDOWS = 4
"""Windows that a lane should hold at least, so that carried state is learnt even from a small corpus."""


@dataclass(frozen=True)
class Lanes:
    """Truncated backpropagation through time reads `batch_size` lanes side by side, `window` tokens a step.

    In a pass over the corpus each lane reads its own stretch from beginning to end, carrying its state; where
    the stretches begin differs from pass to pass with the seed, so that no cut is always at the same place.
    `offset` is the number of steps that earlier trainings, which this one goes on from, have read already;
    tokens are smaller than `vocabulary_size`.
    """

    tokens: NDArray[Any]
    batch_size: int
    window: int
    seed: int
    offset: int = 0
    vocabulary_size: int = 1 << 32

    @property
    def steps_per_epoch(self) -> int:
        """Steps in a pass over the corpus."""
        return (len(self.tokens) - 1) // (self.batch_size * self.window)

    @property
    def inputs(self) -> int:
        """Tokens learnt from in a step."""
        return self.batch_size * self.window

    @property
    def stretch(self) -> int:
        """Tokens of a lane's own in a pass."""
        return self.steps_per_epoch * self.window

    def origin(self, step: int) -> int:
        """Where the first lane stands at this step; each other one stands a `stretch` further than the one before."""
        epoch, place = divmod(self.offset + step, self.steps_per_epoch)
        slack = len(self.tokens) - 1 - self.stretch * self.batch_size
        return _beginning(self.seed, epoch, slack) + place * self.window

    def begins(self, step: int) -> bool:
        """Whether the lanes begin anew at this step, with the initial state."""
        return (self.offset + step) % self.steps_per_epoch == 0

    def read(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and the tokens that follow them, int64 [T, B] each. Raises RunError where they are none."""
        starts = self.origin(step) + np.arange(self.batch_size) * self.stretch
        lanes = self.tokens[starts + np.arange(self.window + 1)[:, None]]
        ids = torch.from_numpy(lanes.astype(np.int64))
        check_ids(ids, self.vocabulary_size)
        return ids[:-1], ids[1:]


@lru_cache(maxsize=8)
def _beginning(seed: int, epoch: int, slack: int) -> int:
    """Where a pass over the corpus begins, at most `slack` tokens in."""
    return int(np.random.default_rng((seed, epoch)).integers(slack + 1))


def fit_lanes(
    tokens: NDArray[Any], batch_size: int, window: int, seed: int, vocabulary_size: int = 1 << 32
) -> Lanes:
    """The lanes asked for, or smaller ones where the corpus is too small for them.

    Raises UsageError below two tokens: there is nothing to predict.
    """
    transitions = len(tokens) - 1
    if transitions < 1:
        raise UsageError(
            f"the training split holds {len(tokens)} tokens, and training needs at least two; name a larger "
            "corpus, or give train a larger share of it (corpora.NAME.split)"
        )
    window = min(window, transitions)
    batch_size = min(batch_size, max(1, transitions // (window * WINDOWS)))
    return Lanes(tokens, batch_size, window, seed, vocabulary_size=vocabulary_size)
