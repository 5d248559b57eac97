"""Text generation. Reading its settings does not import torch."""

from typing import TYPE_CHECKING

from charpipe.config.settings.sampling import SampleConfig
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.generation.batches import generate_many, sample_after, sample_many, sample_prompts
    from charpipe.generation.beam import BeamText, beam_search
    from charpipe.generation.sampling import generate, sample
    from charpipe.generation.scored import ScoredPiece, generate_scored
    from charpipe.generation.state import Position

__getattr__ = names(
    __name__,
    {
        "BeamText": "beam",
        "Position": "state",
        "ScoredPiece": "scored",
        "beam_search": "beam",
        "generate": "sampling",
        "generate_many": "batches",
        "generate_scored": "scored",
        "sample": "sampling",
        "sample_after": "batches",
        "sample_many": "batches",
        "sample_prompts": "batches",
    },
)


__all__ = [
    "BeamText",
    "Position",
    "SampleConfig",
    "ScoredPiece",
    "beam_search",
    "generate",
    "generate_many",
    "generate_scored",
    "sample",
    "sample_after",
    "sample_many",
    "sample_prompts",
]
