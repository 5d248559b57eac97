"""Networks that charpipe's kernels support: layers with known equations in charpipe's shell."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import cache

from torch import nn

from charpipe.cells import Cell, Trace
from charpipe.errors import PluginError
from charpipe.kernels.modules import NetworkModules
from charpipe.models.cell_layers import CellLayers, compiled_form
from charpipe.models.from_cell import equals_torch_layer
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.resets import end_token_of
from charpipe.models.shell import LanguageModel
from charpipe.plugins.registry import Registry


def modules_of(network: LanguageModel) -> NetworkModules:
    """The modules that kernels read; the recurrence must be a `TorchRecurrence` with known equations."""
    recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
    trace = trace_of_network(network)
    assert isinstance(trace, Trace), trace
    return NetworkModules(
        layer=recurrence.layer,
        trace=trace,
        state_names=recurrence.names,
        head=network.head,
        embedding=network.embedding,
        dropout=network.dropout,
        locked_head=network.locked,
        locked_layers=recurrence.locked,
        recurrent_dropout=recurrence.recurrent_dropout,
        end_token=end_token_of(network),
    )


def trace_of_network(network: nn.Module) -> Trace | str:
    """The equations of a network's layers, or the sentence that says why the kernels cannot run it."""
    # no subclass of either, which may compute something else
    if type(network) is not LanguageModel or type(network.recurrence) is not TorchRecurrence:
        return "its recurrence is no cell and not one of PyTorch's in charpipe's shell"
    recurrence = network.recurrence
    layer = recurrence.layer
    cell = recurrence.cell
    if not isinstance(layer, CellLayers):
        if layer.bidirectional or layer.proj_size or layer.batch_first:
            return "its layers are not the usual RNN, GRU or LSTM"
        cell = torch_cells().get(layer.mode) if type(layer) in (nn.RNN, nn.GRU, nn.LSTM) else None
        if cell is None:
            return "its layers are not the usual RNN, GRU or LSTM"
    assert cell is not None
    if recurrence.names != tuple(cell.state):
        return "its states have other names than usual"
    return compiled_form(cell)


def uncompiled_cell(network: nn.Module) -> str | None:
    """Why the cell of a network cannot be compiled; None where it can, or where the network is made of no cell."""
    layer = getattr(getattr(network, "recurrence", None), "layer", None)
    form = layer.compiled_form() if isinstance(layer, CellLayers) else None
    return form if isinstance(form, str) else None


def is_standard(network: object) -> bool:
    """Whether the equations of a network's layers are known and can be compiled."""
    return isinstance(network, nn.Module) and isinstance(trace_of_network(network), Trace)


@cache
def torch_cells() -> Mapping[str, Cell]:
    """The cells that have the equations of PyTorch's layers, by the layers' mode: those in the modules of the installed
    architectures."""
    found: dict[str, Cell] = {}
    for provided in Registry().all("architecture").values():
        if isinstance(provided.cell, type):
            for _, each in inspect.getmembers(sys.modules[provided.cell.__module__], inspect.isclass):
                if issubclass(each, Cell) and each.torch_layer and _computes_as_named(each):
                    found.setdefault(each.torch_layer, each())
    return found


def _computes_as_named(cell_type: type[Cell]) -> bool:
    """Whether a cell equals the PyTorch layer that it names; a broken cell of a plugin harms no other."""
    try:
        return equals_torch_layer(cell_type)  # type: ignore[arg-type]
    except PluginError:
        return False
