"""Many streams in int8: oneDNN's products of integers between compiled steps of the cells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charpipe.kernels.modules import NetworkModules
from charpipe.kernels.step.cell_kernel import cell_address
from charpipe.kernels.step.int8_loops import step_rows
from charpipe.kernels.step.network import Array
from charpipe.kernels.step.range_of_units import stays_within_one
from charpipe.kernels.step.states import as_array
from charpipe.kernels.step.weights import (
    cell_vectors,
    gate_biases,
    hidden_weights,
    input_table,
    input_weights,
    ordered_input,
    pad_last,
    padded_units,
)

STEPS, ZERO_POINT = 127, 128
"""A unit in uint8: so many steps to 1, and what stands for 0."""


class QuantizedMatrix:
    """A matrix [N, K] in int8 with a scale for each output, packed once for products with B rows."""

    def __init__(self, values: Tensor, batch_size: int) -> None:
        largest = values.abs().amax(1).clamp_min(1e-12)
        rounded = (values / largest[:, None] * STEPS).round().to(torch.int8)
        self._values = torch.ops.onednn.qlinear_prepack(rounded, [batch_size, values.shape[1]])
        self._scales = largest / STEPS
        self._zero_points = torch.zeros(len(values), dtype=torch.int64)

    def product(self, inputs: Tensor) -> Array:
        """inputs uint8 [B, K] -> float32 [B, N]"""
        found = torch.ops.onednn.qlinear_pointwise(
            *(inputs, 1 / STEPS, ZERO_POINT, self._values, self._scales, self._zero_points, None),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        made: Array = found.numpy()
        return made


class Int8Layer:
    """A layer with the state of B streams. Units are padded, and gates are in `gate_order`."""

    def __init__(self, modules: NetworkModules, number: int, state: Mapping[str, Tensor]) -> None:
        self.cell, self.size = cell_address(modules.trace, fast=True), modules.hidden_size
        width = padded_units(self.size)
        before = {name: pad_last(as_array(values[number]), width) for name, values in state.items()}
        hidden, *others = (before[name] for name in modules.trace.state)
        self.hidden: Array = hidden
        self.carry: Array = np.stack(others, 1) if others else np.zeros((len(hidden), 0, width), np.float32)
        self.vectors = np.ascontiguousarray(pad_last(cell_vectors(modules, number), width))
        self.quantized = (torch.from_numpy(hidden).clamp(-1, 1) * STEPS + ZERO_POINT).round().to(torch.uint8)
        self.input = _quantized(input_weights(modules, number), len(hidden)) if number else None
        self.recurrent = _quantized(hidden_weights(modules, number), len(hidden))
        self.table, self.bias = _table_and_bias(modules, number)
        self._no_product = np.empty((0, self.table.shape[1]), np.float32)
        self._zero_rows = np.zeros(len(hidden), np.int64)

    def step(self, tokens: NDArray[np.int64], below: Tensor | None) -> Tensor:
        """The layer's new units in uint8, from the tokens [B] or the layer below."""
        first = self.input is None or below is None
        step_rows(
            self.cell,
            self.size,
            self.table,
            tokens if first else self._zero_rows,
            self.bias,
            self._no_product if first else self.input.product(below),  # type: ignore[union-attr, arg-type]
            self._no_product if self.recurrent is None else self.recurrent.product(self.quantized),
            self.carry,
            self.vectors,
            self.hidden,
            self.quantized.numpy(),
        )
        return self.quantized


class Int8Batch:
    """Layers with known equations inside the shell for B streams; the head stays float32."""

    def __init__(self, modules: NetworkModules, state: Mapping[str, Tensor]) -> None:
        self._layers = [Int8Layer(modules, number, state) for number in range(modules.layers)]
        self.size = len(self._layers[-1].hidden)
        self._outputs = torch.from_numpy(self._layers[-1].hidden)[:, : modules.hidden_size]
        self._head = modules.head.weight.detach().t()
        self._head_bias = modules.head.bias.detach()
        self._logits = torch.empty(len(self._outputs), modules.vocabulary_size)

    @torch.no_grad()
    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read tokens [B]; the logits of the next ones, [B, V]. The array is overwritten by the next step."""
        below: Tensor | None = None
        for layer in self._layers:
            below = layer.step(tokens, below)
        torch.addmm(self._head_bias, self._outputs, self._head, out=self._logits)
        found: NDArray[np.float32] = self._logits.numpy()
        return found


def is_supported(modules: NetworkModules) -> bool:
    """Whether the network's units stay between -1 and 1, and the processor has instructions for int8."""
    return obstacle(modules) is None


def obstacle(modules: NetworkModules) -> str | None:
    """Why a network cannot be stepped in int8, or None if it can."""
    describe = getattr(torch.cpu, "get_capabilities", dict)  # not in every torch that charpipe allows
    has: dict[str, bool] = describe()
    if not any(has.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8")):
        return "it needs a CPU with instructions for it (VNNI or AMX)"
    vectors = np.concatenate([cell_vectors(modules, number) for number in range(modules.layers)], 1)
    if not stays_within_one(modules.trace, vectors):
        return f"the units of the cell {modules.trace.name} do not stay between -1 and 1"
    return None


def _quantized(weights: Array, batch_size: int) -> QuantizedMatrix | None:
    """Weights [inputs, gates, H] with both sides padded, or None without gates."""
    inputs, gates, size = weights.shape
    if not gates:
        return None
    width = padded_units(size)
    padded = np.zeros((gates, width, padded_units(inputs)), np.float32)
    padded[:, :size, :inputs] = weights.transpose(1, 2, 0)
    return QuantizedMatrix(torch.from_numpy(padded.reshape(gates * width, -1)), batch_size)


def _table_and_bias(modules: NetworkModules, number: int) -> tuple[Array, Array]:
    """What is added to the gates with an input, a row for each token or one for all; and the biases of the others."""
    inputs, biases = len(modules.trace.input_gates), gate_biases(modules, number)
    rows = biases[None, :inputs]
    if number == 0:
        rows = rows + ordered_input(modules, input_table(modules))
    width = padded_units(modules.hidden_size)
    return pad_last(rows, width).reshape(len(rows), -1), pad_last(biases[inputs:], width).reshape(-1)
