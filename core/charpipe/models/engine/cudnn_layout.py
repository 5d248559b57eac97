"""A forward pass padded for cuDNN's persistent kernels, which keep the recurrent weights on the chip.

PyTorch uses them only in float16, for one layer at a time, with hidden and input sizes that are multiples of 128 and at
most 1024, and for batch sizes that are a multiple of 8 and at most 128 (aten/src/ATen/native/cudnn/RNN.cpp). So each
layer is called separately, with copies of its weights padded with zeros: a unit whose weights are zero stays zero in
all three cells. The parameters do not change, and gradients flow back to them through the copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.models.contract import State
from charpipe.models.dropout import drop
from charpipe.models.engine.autograd import Forward
from charpipe.models.precision import Precision
from charpipe.models.recurrence import FUNCTIONS, TorchRecurrence
from charpipe.models.shell import LanguageModel

UNIT_MULTIPLE, MAX_UNITS = 128, 1024
BATCH_MULTIPLE, MAX_BATCH_SIZE = 8, 128


@dataclass(frozen=True)
class Layout:
    """The multiples that hidden and input sizes, and the batch size, are padded to."""

    units: int
    batch_size: int


PERSISTENT, UNPADDED = Layout(UNIT_MULTIPLE, BATCH_MULTIPLE), Layout(1, 1)


def layout_for(network: LanguageModel, batch_size: int, precision: Precision) -> Layout | None:
    """The layout for which cuDNN has a persistent kernel, or None if there is none: never for a GRU."""
    recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
    layer = recurrence.layer
    sizes = [_padded(size, UNIT_MULTIPLE) for size in (layer.hidden_size, layer.input_size)]
    small = max(sizes) <= MAX_UNITS and _padded(batch_size, BATCH_MULTIPLE) <= MAX_BATCH_SIZE
    return PERSISTENT if precision == "float16" and type(layer) in (nn.LSTM, nn.RNN) and small else None


def padded_forward(network: LanguageModel, dtype: torch.dtype, layout: Layout) -> Forward:
    """The network's `forward` in a layout, with products in `dtype`; the same numbers up to rounding."""
    recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
    layer: nn.RNNBase = recurrence.layer  # type: ignore[assignment]
    names, function = recurrence.names, FUNCTIONS[layer.mode]
    units, inputs = _padded(layer.hidden_size, layout.units), _padded(layer.input_size, layout.units)
    one_hot = torch.eye(network.vocabulary_size, inputs, dtype=dtype, device=network.head.weight.device)

    def look_up(ids: Tensor) -> Tensor:
        if network.embedding is None:
            return functional.embedding(ids, one_hot)
        found: Tensor = network.embedding(ids).to(dtype)
        return functional.pad(found, (0, inputs - layer.input_size))

    def forward(ids: Tensor, state: State) -> tuple[Tensor, State]:
        batch_size = ids.shape[1]
        extra = _padded(batch_size, layout.batch_size) - batch_size
        padding = (0, units - layer.hidden_size, 0, extra)
        values, carried = look_up(functional.pad(ids, (0, extra))), []
        for number in range(layer.num_layers):
            given = values if number == 0 else recurrence.between(values)
            before = [functional.pad(state[name][number : number + 1].to(dtype), padding) for name in names]
            weights = padded_weights(recurrence, number, given.shape[2], units, dtype)
            values, *after = function(
                given, before if len(before) > 1 else before[0], weights, True, 1, 0.0, True, False, False
            )
            carried.append([each[:, :batch_size, : layer.hidden_size].float() for each in after])
        values = drop(
            values[:, :batch_size, : layer.hidden_size],
            network.dropout,
            network.training,
            locked=network.locked,
        )
        logits = functional.linear(values, network.head.weight.to(dtype), network.head.bias.to(dtype))
        by_name = zip(names, zip(*carried, strict=True), strict=True)
        return logits, {name: torch.cat(each) for name, each in by_name}

    return forward


def padded_weights(
    recurrence: TorchRecurrence, number: int, inputs: int, units: int, dtype: torch.dtype
) -> list[Tensor]:
    """A layer's weights and biases, padded to these numbers of inputs and units. They are contiguous in memory, as
    cuDNN needs them, so that it does not copy them again."""
    layer, old = recurrence.layer, recurrence.layer.hidden_size
    columns = {"ih": inputs, "hh": units}
    recurrent = recurrence.recurrent_weights(number)
    assert recurrent is not None  # of PyTorch's layers
    given = {"ih": layer.get_parameter(f"weight_ih_l{number}"), "hh": recurrent}
    pieces = []
    for name, values in given.items():
        gates = values.view(-1, old, values.shape[1])
        pieces.append(functional.pad(gates, (0, columns[name] - gates.shape[2], 0, units - old)))
    for name in ("ih", "hh"):
        bias = layer.get_parameter(f"bias_{name}_l{number}").view(-1, old)
        pieces.append(functional.pad(bias, (0, units - old)))
    whole = torch.cat([piece.flatten() for piece in pieces]).to(dtype)
    parts = torch.split(whole, [piece.numel() for piece in pieces])
    return [
        part.view(-1, piece.shape[2]) if piece.ndim == 3 else part
        for part, piece in zip(parts, pieces, strict=True)
    ]


def _padded(count: int, multiple: int) -> int:
    """The next multiple."""
    return -(-count // multiple) * multiple
