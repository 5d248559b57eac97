"""Text generation. Reading its settings does not import torch."""

from typing import TYPE_CHECKING

from charpipe.config.settings.sampling import SampleConfig
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.generation.batches import generate_many, sample_many
    from charpipe.generation.documents import Document, sample_documents, sample_some
    from charpipe.generation.sampling import generate, sample
    from charpipe.generation.state import Position

__getattr__ = names(
    __name__,
    {
        "Document": "documents",
        "Position": "state",
        "generate": "sampling",
        "generate_many": "batches",
        "sample": "sampling",
        "sample_documents": "documents",
        "sample_many": "batches",
        "sample_some": "documents",
    },
)


__all__ = [
    "Document",
    "Position",
    "SampleConfig",
    "generate",
    "generate_many",
    "sample",
    "sample_documents",
    "sample_many",
    "sample_some",
]
