"""A language model around the layers of a cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from charpipe.cells import Cell, Feeds
from charpipe.cells.cell import ordered_gates
from charpipe.errors import PluginError
from charpipe.models.cell_layers import CellLayers
from charpipe.models.initialisation import initialise
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel, embedding_width
from charpipe.plugin import ArchitectureConfig, RecurrentConfig

MODES = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN_TANH": nn.RNN, "RNN_RELU": nn.RNN}
"""PyTorch's layers by their mode."""


def build_from_cell(cell_type: type[Cell], config: ArchitectureConfig, vocabulary_size: int) -> LanguageModel:
    """A language model of `layers` layers of a cell, made with `config`: PyTorch's own layers where the cell names some,
    since they are faster on GPUs. Raises CellError, a PluginError, if the cell breaks a rule."""
    cell = cell_type(config)
    one_hot = embedding_width(config, vocabulary_size) is None
    recurrent = config if isinstance(config, RecurrentConfig) else RecurrentConfig()

    def recurrence(input_size: int) -> TorchRecurrence:
        between = config.dropout if config.layers > 1 else 0.0
        layer = _layers(cell, input_size, config, between)
        initialise(layer, one_hot=one_hot, how=recurrent.initialisation)
        _set_first_values(layer, cell)
        return TorchRecurrence(
            layer,
            tuple(cell.state),
            locked=recurrent.locked_dropout,
            recurrent_dropout=recurrent.recurrent_dropout,
            cell=cell,
        )

    return LanguageModel(config, vocabulary_size, recurrence)


def _layers(
    cell: Cell, input_size: int, config: ArchitectureConfig, dropout: float
) -> nn.RNNBase | CellLayers:
    sizes = (input_size, config.hidden_size, config.layers)
    if not cell.torch_layer:
        return CellLayers(cell, *sizes, dropout=dropout)
    if cell.torch_layer not in MODES:
        raise PluginError(
            f"cell {type(cell).__name__}: torch_layer is {cell.torch_layer!r}; PyTorch's layers are {', '.join(MODES)}"
        )
    layer = MODES[cell.torch_layer]
    if layer is nn.RNN:
        return nn.RNN(*sizes, nonlinearity=cell.torch_layer[4:].lower(), dropout=dropout)
    made: nn.RNNBase = layer(*sizes, dropout=dropout)
    return made


@torch.no_grad()
def _set_first_values(layer: nn.RNNBase | CellLayers, cell: Cell) -> None:
    """The cell's own first biases, and first values of its vectors."""
    inputs = [name for name, feeds in ordered_gates(cell).items() if feeds is not Feeds.HIDDEN]
    hiddens = [name for name, feeds in ordered_gates(cell).items() if feeds is Feeds.HIDDEN]
    every_hidden = [name for name, feeds in ordered_gates(cell).items() if feeds is not Feeds.INPUT]
    for gate, bias in cell.first_biases().items():
        if gate not in cell.gates:
            raise PluginError(f"cell {type(cell).__name__}: `first_biases` names {gate!r}, which is no gate")
        name, index = (
            ("bias_hh", every_hidden.index(gate)) if gate in hiddens else ("bias_ih", inputs.index(gate))
        )
        for place in range(layer.num_layers):
            _of_gate(layer.get_parameter(f"{name}_l{place}"), index, layer.hidden_size).fill_(float(bias))
    for vector, value in cell.vectors.items():
        for place in range(layer.num_layers):
            layer.get_parameter(f"{vector}_l{place}").fill_(float(value))


def _of_gate(values: Tensor, index: int, size: int) -> Tensor:
    return values[index * size : (index + 1) * size]
