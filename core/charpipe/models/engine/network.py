"""A language model's forward pass by the engine: the same numbers as the network's own, sooner."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.models.contract import State
from charpipe.models.dropout import drop
from charpipe.models.engine import Forward
from charpipe.models.engine.cells import CELLS, Cell
from charpipe.models.engine.sweep import Sweep
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel


def forward_of(network: LanguageModel, dtype: torch.dtype) -> Forward:
    """The network's `forward` with products in `dtype`, float32 or bfloat16; gradients flow to its parameters."""
    recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
    layer = recurrence.layer
    cell = CELLS[type(layer)]

    def forward(ids: Tensor, state: State) -> tuple[Tensor, State]:
        values, after = None, []
        for place in range(layer.num_layers):
            source, rows = _source(network, layer, cell, place, ids, values, dtype)
            before = [state[name][place] for name in cell.names]
            values, *carried = Sweep.apply(  # type: ignore[no-untyped-call]
                cell,
                source,
                rows,
                recurrence.recurrent_weights(place).to(dtype),
                layer.get_parameter(f"bias_hh_l{place}")[-layer.hidden_size :],
                before[0],
                before[-1],
            )
            after.append(carried)
            if place + 1 < layer.num_layers:
                values = recurrence.between(values)
        assert values is not None
        values = drop(values, network.dropout, network.training, locked=network.locked)
        logits = functional.linear(values, network.head.weight.to(dtype), network.head.bias.to(dtype))
        kept = {
            name: torch.stack([each[-1 - i] for each in after]) for i, name in enumerate(reversed(cell.names))
        }
        if len(cell.names) > 1:
            kept[cell.names[0]] = torch.stack([each[0] for each in after])
        return logits, {name: kept[name] for name in cell.names}

    return forward


def _source(
    network: LanguageModel,
    layer: nn.RNNBase,
    cell: Cell,
    place: int,
    ids: Tensor,
    values: Tensor | None,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor | None]:
    """What inputs add to the gates of layer `place`, and the row of it for each lane and step; None: one row each."""
    size = layer.hidden_size
    weights = _ordered(layer.get_parameter(f"weight_ih_l{place}"), size, cell)
    bias = layer.get_parameter(f"bias_ih_l{place}") + _recurrent_bias(layer, place, cell)
    bias = _ordered(bias, size, cell)
    if values is not None:
        return functional.linear(values.flatten(0, 1), weights.to(dtype), bias.to(dtype)), None
    if network.embedding is None:
        return (weights.t() + bias).contiguous(), ids.contiguous()
    if network.vocabulary_size < ids.numel():  # every character's share once, however often it occurs
        return functional.linear(network.embedding.weight, weights, bias), ids.contiguous()
    return functional.linear(network.embedding(ids).flatten(0, 1), weights, bias), None


def _ordered(values: Tensor, size: int, cell: Cell) -> Tensor:
    blocks = torch.split(values, size)
    straight = tuple(range(len(blocks)))
    return values if cell.order == straight else torch.cat([blocks[block] for block in cell.order])


def _recurrent_bias(layer: nn.RNNBase, place: int, cell: Cell) -> Tensor:
    """Both biases are added to the same sum, but for the GRU's n, where the reset gate stands between."""
    bias = layer.get_parameter(f"bias_hh_l{place}")
    if cell.products == cell.inputs:
        return bias
    return torch.cat([bias[: -layer.hidden_size], torch.zeros(layer.hidden_size)])
