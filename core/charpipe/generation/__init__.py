"""Decoding: a model writes text. Its settings are read without importing torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from charpipe.generation.settings import SampleConfig

if TYPE_CHECKING:
    from charpipe.generation.sampling import generate, sample

_ROOMS = {"generate": "sampling", "sample": "sampling"}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["SampleConfig", "generate", "sample"]
