"""A forward pass laid out for cuDNN's persistent kernels, which keep the recurrent weights on the chip.

PyTorch takes them only in float16, for one layer at a time, whose units and inputs are a multiple of 128 and at most
1024, and for lanes in eights up to 128 (aten/src/ATen/native/cudnn/RNN.cpp). So each layer is called by itself, with
copies of its weights that zeros fill up: a unit whose weights are zero stays at zero in all three cells. The parameters
stay as they are, and gradients flow back to them through the copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.models.contract import State
from charpipe.models.dropout import drop
from charpipe.models.engine import Forward
from charpipe.models.precision import Precision
from charpipe.models.recurrence import FUNCTIONS, TorchRecurrence
from charpipe.models.shell import LanguageModel

UNITS, LARGEST = 128, 1024
LANES, MOST_LANES = 8, 128


@dataclass(frozen=True)
class Layout:
    """What sizes are rounded up to a multiple of."""

    units: int
    lanes: int


PERSISTENT, AS_IT_IS = Layout(UNITS, LANES), Layout(1, 1)


def layout_for(network: LanguageModel, lanes: int, precision: Precision) -> Layout | None:
    """The layout with which cuDNN takes a persistent kernel, or None where none would help: a GRU never gets it."""
    recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
    layer = recurrence.layer
    inputs = _up(layer.input_size, UNITS)
    small = max(_up(layer.hidden_size, UNITS), inputs) <= LARGEST and _up(lanes, LANES) <= MOST_LANES
    return PERSISTENT if precision == "float16" and type(layer) in (nn.LSTM, nn.RNN) and small else None


def forward_of(network: LanguageModel, dtype: torch.dtype, layout: Layout) -> Forward:
    """The network's `forward` with products in `dtype`; the same numbers but for rounding."""
    recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
    layer, names, apply = recurrence.layer, recurrence.names, FUNCTIONS[recurrence.layer.mode]
    units, inputs = _up(layer.hidden_size, layout.units), _up(layer.input_size, layout.units)
    ones = torch.eye(network.vocabulary_size, inputs, dtype=dtype, device=network.head.weight.device)

    def look_up(ids: Tensor) -> Tensor:
        if network.embedding is None:
            return functional.embedding(ids, ones)
        found: Tensor = network.embedding(ids).to(dtype)
        return functional.pad(found, (0, inputs - layer.input_size))

    def forward(ids: Tensor, state: State) -> tuple[Tensor, State]:
        lanes = ids.shape[1]
        more = _up(lanes, layout.lanes) - lanes
        grow = (0, units - layer.hidden_size, 0, more)
        values, found = look_up(functional.pad(ids, (0, more))), []
        for place in range(layer.num_layers):
            given = values if place == 0 else recurrence.between(values)
            before = [functional.pad(state[name][place : place + 1].to(dtype), grow) for name in names]
            weights = filled_up(recurrence, place, given.shape[2], units, dtype)
            values, *after = apply(
                given, before if len(before) > 1 else before[0], weights, True, 1, 0.0, True, False, False
            )
            found.append([each[:, :lanes, : layer.hidden_size].float() for each in after])
        values = drop(
            values[:, :lanes, : layer.hidden_size], network.dropout, network.training, locked=network.locked
        )
        logits = functional.linear(values, network.head.weight.to(dtype), network.head.bias.to(dtype))
        return logits, {
            name: torch.cat(each) for name, each in zip(names, zip(*found, strict=True), strict=True)
        }

    return forward


def filled_up(
    recurrence: TorchRecurrence, place: int, inputs: int, units: int, dtype: torch.dtype
) -> list[Tensor]:
    """A layer's weights and biases for so many inputs and units, one after the other in one piece of memory, as cuDNN
    has them: then it need not copy them once more."""
    layer, old = recurrence.layer, recurrence.layer.hidden_size
    columns = {"ih": inputs, "hh": units}
    given = {"ih": layer.get_parameter(f"weight_ih_l{place}"), "hh": recurrence.recurrent_weights(place)}
    pieces = []
    for name, values in given.items():
        gates = values.view(-1, old, values.shape[1])
        pieces.append(functional.pad(gates, (0, columns[name] - gates.shape[2], 0, units - old)))
    for name in ("ih", "hh"):
        pieces.append(
            functional.pad(layer.get_parameter(f"bias_{name}_l{place}").view(-1, old), (0, units - old))
        )
    whole = torch.cat([piece.flatten() for piece in pieces]).to(dtype)
    parts = torch.split(whole, [piece.numel() for piece in pieces])
    return [
        part.view(-1, piece.shape[2]) if piece.ndim == 3 else part
        for part, piece in zip(parts, pieces, strict=True)
    ]


def _up(count: int, multiple: int) -> int:
    """The next multiple."""
    return -(-count // multiple) * multiple
