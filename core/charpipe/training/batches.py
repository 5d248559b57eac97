"""The order of the training data: truncated backpropagation through time (TBPTT) over contiguous streams of the corpus.

N: tokens of the training split; B: `batch_size`, streams read side by side; T: `window`, tokens of each stream in a
step. The tokens of a step are a pure function of (seed, step).
"""

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

MIN_WINDOWS = 4
"""Windows that a stream holds at least, so that the carried state matters even on a small corpus."""


@dataclass(frozen=True)
class Batches:
    """`batch_size` streams over `tokens`, read `window` tokens a step.

    In an epoch each stream reads a section of the corpus of its own from start to end and carries its state. The
    sections start at another token in each epoch, chosen by the seed, so that no boundary is always at the same place.
    `offset` is the number of steps that earlier runs, which this one starts from, have read already. Every token is
    less than `vocabulary_size`.
    """

    tokens: NDArray[Any]
    batch_size: int
    window: int
    seed: int
    offset: int = 0
    vocabulary_size: int = 1 << 32

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch, a pass over the corpus."""
        return (len(self.tokens) - 1) // (self.batch_size * self.window)

    @property
    def tokens_per_step(self) -> int:
        """B * T."""
        return self.batch_size * self.window

    @property
    def stream_length(self) -> int:
        """Tokens that a stream reads in an epoch."""
        return self.steps_per_epoch * self.window

    def first_token(self, step: int) -> int:
        """Position of stream 0 at `step`. Stream b is at this position plus b * `stream_length`."""
        epoch, step_in_epoch = divmod(self.offset + step, self.steps_per_epoch)
        unused = len(self.tokens) - 1 - self.stream_length * self.batch_size
        return _epoch_start(self.seed, epoch, unused) + step_in_epoch * self.window

    def starts_epoch(self, step: int) -> bool:
        """Whether an epoch starts at `step`: the streams jump, so the recurrent state is reset."""
        return (self.offset + step) % self.steps_per_epoch == 0

    def read(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets, the tokens that follow them: int64 [T, B] each.

        Raises RunError where a token is not less than `vocabulary_size`.
        """
        positions = self.first_token(step) + np.arange(self.batch_size) * self.stream_length
        ids = self.tokens[positions + np.arange(self.window + 1)[:, None]]
        tensor = torch.from_numpy(ids.astype(np.int64))
        check_ids(tensor, self.vocabulary_size)
        return tensor[:-1], tensor[1:]


@lru_cache(maxsize=8)
def _epoch_start(seed: int, epoch: int, unused: int) -> int:
    """Position at which an epoch starts: between 0 and the number of tokens that it leaves out."""
    return int(np.random.default_rng((seed, epoch)).integers(unused + 1))


def fit_batches(
    tokens: NDArray[Any],
    batch_size: int,
    window: int,
    seed: int,
    vocabulary_size: int = 1 << 32,
    *,
    shards: int = 1,
) -> Batches:
    """Batches of the size asked for, or smaller ones where the corpus is too small for it: of a multiple of `shards`
    streams.

    Raises UsageError below two tokens, where there is nothing to predict, and below one transition for each shard.
    """
    transitions = len(tokens) - 1
    if transitions < 1:
        raise UsageError(
            f"too short to train on: the training split holds {len(tokens)} tokens, and training needs at least two; "
            "name a longer text, or if only its training split is short, give that more of it"
        )
    if transitions < shards:
        raise UsageError(
            f"the training split holds {len(tokens)} tokens, too few for {shards} shards; name a larger corpus, or "
            "leave train.shards at 1"
        )
    window = min(window, transitions // shards)
    batch_size = min(batch_size, max(1, transitions // (window * MIN_WINDOWS * shards)) * shards)
    return Batches(tokens, batch_size, window, seed, vocabulary_size=vocabulary_size)
