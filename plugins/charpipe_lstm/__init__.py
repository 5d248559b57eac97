"""The long short-term memory (Hochreiter and Schmidhuber 1997), the default architecture."""

from collections.abc import Iterable

from pydantic import Field

from charpipe.plugin import Architecture, Dropout, RecurrentConfig, RecurrentDropout, hookimpl
from charpipe_lstm.cell import Lstm


class LstmConfig(RecurrentConfig):
    """The `[architectures.lstm]` table."""

    dropout: Dropout = 0.2
    recurrent_dropout: RecurrentDropout = 0.1
    forget_bias: float = Field(
        1.0, ge=-100, le=100, description="first bias of the forget gate: a new cell remembers"
    )


@hookimpl
def charpipe_architectures() -> Iterable[Architecture]:
    """One architecture, `lstm`."""
    return [Architecture("lstm", "long short-term memory", LstmConfig, cell=Lstm)]
