"""How tokens enter a model: one-hot, or through an embedding of some width."""

from __future__ import annotations

from charpipe.plugin import ArchitectureConfig

ONE_HOT_LIMIT = 128
"""Characters up to which they enter one-hot; beyond, the product with mostly zeros takes too much of the time."""
LARGE_VOCABULARY_WIDTH = 128


def embedding_width(config: ArchitectureConfig, vocabulary_size: int) -> int | None:
    """The width of the input embedding: as set, else none (one-hot) for vocabularies of the usual sizes."""
    if config.embedding_size is None and vocabulary_size > ONE_HOT_LIMIT:
        return LARGE_VOCABULARY_WIDTH
    return config.embedding_size or None
