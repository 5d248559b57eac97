"""The long short-term memory (Hochreiter and Schmidhuber 1997), the default architecture."""

from collections.abc import Iterable

from pydantic import Field

from charpipe.plugin import Architecture, RecurrentConfig, hookimpl


class LstmConfig(RecurrentConfig):
    """The `[architectures.lstm]` table."""

    dropout: float = Field(
        0.2, ge=0, lt=1, description="dropped share of each layer's outputs while training"
    )
    recurrent_dropout: float = Field(
        0.1, ge=0, lt=1, description="dropped share of the recurrent weights, anew each window (DropConnect)"
    )
    forget_bias: float = Field(
        1.0, ge=-100, le=100, description="first bias of the forget gate: a new cell remembers"
    )


@hookimpl
def charpipe_architectures() -> Iterable[Architecture]:
    """One architecture, `lstm`."""
    return [Architecture("lstm", "long short-term memory", LstmConfig, build="charpipe_lstm.model:build")]
