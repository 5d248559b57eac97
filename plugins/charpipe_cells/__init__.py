"""Recurrent cells from the literature beside RNN, LSTM and GRU: each a file of equations with its source."""

from collections.abc import Iterable

from pydantic import Field

from charpipe.plugin import Architecture, Dropout, RecurrentConfig, RecurrentDropout, hookimpl
from charpipe_cells.coupled_lstm import CoupledLstm
from charpipe_cells.minimal_gated import MinimalGatedUnit
from charpipe_cells.minimal_rnn import MinimalRnn
from charpipe_cells.peephole_lstm import PeepholeLstm
from charpipe_cells.sru import Sru


class CellConfig(RecurrentConfig):
    """The table of each of these cells."""

    dropout: Dropout = 0.2
    recurrent_dropout: RecurrentDropout = 0.1


class ForgetConfig(CellConfig):
    """The table of a cell with a forget gate."""

    forget_bias: float = Field(
        1.0, ge=-100, le=100, description="first bias of the forget gate: a new cell remembers"
    )


@hookimpl
def charpipe_architectures() -> Iterable[Architecture]:
    """Five architectures."""
    yield Architecture("lstm-coupled", "LSTM with coupled gates", ForgetConfig, cell=CoupledLstm)
    yield Architecture("lstm-peephole", "LSTM with peepholes", ForgetConfig, cell=PeepholeLstm)
    yield Architecture("mgu", "minimal gated unit", CellConfig, cell=MinimalGatedUnit)
    yield Architecture("minimal-rnn", "MinimalRNN", CellConfig, cell=MinimalRnn)
    yield Architecture("sru", "simple recurrent unit", ForgetConfig, cell=Sru)
