"""Decoding: a model writes text. Its settings are read without importing torch."""

from typing import TYPE_CHECKING

from charpipe.generation.settings import SampleConfig
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.generation.position import Position
    from charpipe.generation.sampling import generate, sample
    from charpipe.generation.together import generate_many, sample_many

__getattr__ = names(
    __name__,
    {
        "Position": "position",
        "generate": "sampling",
        "generate_many": "together",
        "sample": "sampling",
        "sample_many": "together",
    },
)


__all__ = ["Position", "SampleConfig", "generate", "generate_many", "sample", "sample_many"]
