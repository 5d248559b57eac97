"""The gated recurrent unit (Cho et al. 2014): an LSTM's memory with fewer gates."""

from collections.abc import Iterable

from charpipe.plugin import Architecture, Dropout, RecurrentConfig, RecurrentDropout, hookimpl
from charpipe_gru.cell import Gru


class GruConfig(RecurrentConfig):
    """The `[architectures.gru]` table."""

    dropout: Dropout = 0.2
    recurrent_dropout: RecurrentDropout = 0.1


@hookimpl
def charpipe_architectures() -> Iterable[Architecture]:
    """One architecture, `gru`."""
    return [Architecture("gru", "gated recurrent unit", GruConfig, cell=Gru)]
