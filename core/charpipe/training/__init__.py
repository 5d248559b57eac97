"""Training: the loop, its state and setup, snapshots and checkpoints, batches, optimizers, schedules, monitor.

Reading the settings imports no torch: what needs it is imported when it is first used.
"""

from typing import TYPE_CHECKING

from charpipe.config.settings.training import TrainConfig, parse_budget
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.training.checkpoints import best_checkpoint, last_checkpoint
    from charpipe.training.loop import train

__getattr__ = names(
    __name__, {"train": "loop", "best_checkpoint": "checkpoints", "last_checkpoint": "checkpoints"}
)


__all__ = ["TrainConfig", "best_checkpoint", "last_checkpoint", "parse_budget", "train"]
