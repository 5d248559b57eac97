"""The errors that end a training: a loss or weights that are not finite, and memory that runs out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from charpipe.config.settings.training import TrainConfig
from charpipe.errors import TrainingError


class LostWorkerError(TrainingError):
    """Another worker of the training ended, or did not answer in time."""

    def __init__(self, task: str, cause: BaseException) -> None:
        reason = re.sub(r"\[[^]]*\] *", "", " ".join(str(cause).split())).partition(". ")[0][:100]
        super().__init__(
            f"another worker ended or did not answer when the workers wanted to {task} ({reason}); the last checkpoint "
            "is kept; to continue from it, with any number of workers that divides train.shards, type: charpipe resume"
        )


def divergence(step: int, settings: TrainConfig) -> TrainingError:
    """The error for a loss or weights that are not finite after `step` updates. The caller raises it."""
    return TrainingError(
        f"the loss is not finite at step {step:,}; earlier checkpoints are intact; try a lower rate: "
        f"--set train.learning_rate={settings.learning_rate / 2:g}"
    )


def is_finite(network: nn.Module) -> bool:
    """Whether every weight is finite."""
    return all(bool(values.isfinite().all()) for values in network.parameters())


@contextmanager
def out_of_memory_as_training_error(settings: TrainConfig) -> Iterator[None]:
    """Raise TrainingError, which says what to try, where PyTorch or Python cannot allocate memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        refused = isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
        if not refused:
            raise
        raise TrainingError(
            "there is not enough memory to train this; earlier checkpoints are intact; try a smaller batch: "
            f"--set train.batch_size={max(1, settings.batch_size // 2)}"
        ) from error
