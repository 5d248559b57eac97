"""The vanilla recurrent network of the 2015 blog post."""

from collections.abc import Iterable

from charpipe.plugin import Architecture, RecurrentConfig, hookimpl
from charpipe_rnn.cell import Rnn


class RnnConfig(RecurrentConfig):
    """The `[architectures.rnn]` table."""


@hookimpl
def charpipe_architectures() -> Iterable[Architecture]:
    """One architecture, `rnn`."""
    return [Architecture("rnn", "vanilla recurrent network", RnnConfig, cell=Rnn)]
