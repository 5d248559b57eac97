"""The gated recurrent unit (Cho et al. 2014): an LSTM's memory with fewer gates."""

from collections.abc import Iterable

from pydantic import Field

from charpipe.plugin import Architecture, RecurrentConfig, hookimpl


class GruConfig(RecurrentConfig):
    """The `[architectures.gru]` table."""

    dropout: float = Field(
        0.2, ge=0, lt=1, description="dropped share of each layer's outputs while training"
    )
    recurrent_dropout: float = Field(
        0.1, ge=0, lt=1, description="dropped share of the recurrent weights, anew each window (DropConnect)"
    )


@hookimpl
def charpipe_architectures() -> Iterable[Architecture]:
    """One architecture, `gru`."""
    return [Architecture("gru", "gated recurrent unit", GruConfig, build="charpipe_gru.model:build")]
