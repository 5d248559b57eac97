"""Decoding: a model writes text. Its settings are read without importing torch."""

from typing import TYPE_CHECKING

from charpipe.generation.settings import SampleConfig
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.generation.sampling import generate, sample, sample_many

__getattr__ = names(__name__, {"generate": "sampling", "sample": "sampling", "sample_many": "sampling"})


__all__ = ["SampleConfig", "generate", "sample", "sample_many"]
