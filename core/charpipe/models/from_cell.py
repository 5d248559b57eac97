"""A language model around the layers of a cell."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from charpipe.cells import Cell, Feeds
from charpipe.cells.cell import ordered_gates
from charpipe.errors import PluginError
from charpipe.models.cell_layers import CellLayers
from charpipe.models.embedding import embedding_width
from charpipe.models.initialisation import initialise
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel
from charpipe.plugin import ArchitectureConfig, RecurrentConfig

MODES = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN_TANH": nn.RNN, "RNN_RELU": nn.RNN}
"""PyTorch's layers by their mode."""
TRIAL_SIZES = (3, 4, 1)
"""Inputs, units and layers of the networks that are compared with PyTorch's."""


def build_from_cell(cell_type: type[Cell], config: ArchitectureConfig, vocabulary_size: int) -> LanguageModel:
    """A language model of `layers` layers of a cell, made with `config`: PyTorch's own layers where the cell names
    some, since they are faster on GPUs. Raises CellError, a PluginError, if the cell breaks a rule."""
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
    if not equals_torch_layer(type(cell)):  # type: ignore[arg-type]
        raise PluginError(
            f"cell {type(cell).__name__}: its step computes something else than PyTorch's {cell.torch_layer}, which "
            "torch_layer names"
        )
    return _torch_layers(cell, *sizes, dropout=dropout)


def _torch_layers(cell: Cell, *sizes: int, dropout: float = 0.0) -> nn.RNNBase:
    layer = MODES[cell.torch_layer]
    if layer is nn.RNN:
        return nn.RNN(*sizes, nonlinearity=cell.torch_layer[4:].lower(), dropout=dropout)
    made: nn.RNNBase = layer(*sizes, dropout=dropout)
    return made


@cache
@torch.no_grad()
def equals_torch_layer(cell_type: type[Cell]) -> bool:
    """Whether a cell computes what the PyTorch layer computes that it names, with the same weights."""
    cell = cell_type()
    if cell.torch_layer not in MODES:
        return False
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.manual_seed(0)
        library, own = _torch_layers(cell, *TRIAL_SIZES), CellLayers(cell, *TRIAL_SIZES)
        inputs = torch.randn(5, 2, TRIAL_SIZES[0])
        before = {name: torch.randn(1, 2, TRIAL_SIZES[1]) for name in cell.state}
    weights = dict(library.named_parameters())
    if {name: p.shape for name, p in own.named_parameters()} != {
        name: p.shape for name, p in weights.items()
    }:
        return False
    own.load_state_dict(weights)
    names = tuple(cell.state)
    wanted = TorchRecurrence(library, names)(inputs, before)
    found = TorchRecurrence(own, names)(inputs, before)
    pairs = [(wanted[0], found[0]), *((wanted[1][name], found[1][name]) for name in names)]
    return all(torch.allclose(one, other, rtol=1e-4, atol=1e-5) for one, other in pairs)


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
