"""The long short-term memory (Hochreiter and Schmidhuber 1997), the default architecture."""

from collections.abc import Iterable

from pydantic import Field

from charpipe.plugin import Architecture, ArchitectureConfig, hookimpl


class LstmConfig(ArchitectureConfig):
    """The `[architectures.lstm]` table."""

    dropout: float = Field(
        0.1, ge=0, lt=1, description="dropped share of each layer's outputs while training"
    )


@hookimpl
def charpipe_architectures() -> Iterable[Architecture]:
    """One architecture, `lstm`."""
    return [Architecture("lstm", "long short-term memory", LstmConfig, build="charpipe_lstm.model:build")]
