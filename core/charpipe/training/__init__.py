"""Training: lanes, loop, optimisers, schedules, checkpoints. Its settings are read without importing torch,
so what needs it is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from charpipe.training.settings import TrainConfig, parse_budget

if TYPE_CHECKING:
    from charpipe.training.checkpoints import best_checkpoint, last_checkpoint
    from charpipe.training.loop import train

_ROOMS = {"train": "loop", "best_checkpoint": "checkpoints", "last_checkpoint": "checkpoints"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["TrainConfig", "best_checkpoint", "last_checkpoint", "parse_budget", "train"]
