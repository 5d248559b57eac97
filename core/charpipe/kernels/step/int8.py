"""Many streams in int8: oneDNN's products of integers between compiled steps of the cells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charpipe.kernels.modules import NetworkModules
from charpipe.kernels.step.int8_loops import step_rows
from charpipe.kernels.step.weights import GRU, RELU, Array, cell_kind, input_table

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
    """A layer with the state of B streams."""

    def __init__(
        self, modules: NetworkModules, number: int, state: Mapping[str, Tensor], table: Array
    ) -> None:
        self.kind = cell_kind(modules.layer)
        hidden = state["hidden"][number]
        batch_size = len(hidden)

        def quantized(name: str) -> QuantizedMatrix:
            return QuantizedMatrix(modules.layer_parameter(name, number).detach(), batch_size)

        self.recurrent = quantized("weight_hh")
        self.input = quantized("weight_ih") if number else None
        self.hidden: Array = hidden.clone().numpy()
        self.cell: Array = state["cell"][number].clone().numpy() if "cell" in state else self.hidden
        self.quantized = (hidden * STEPS + ZERO_POINT).round().to(torch.uint8)
        self.table, self.recurrent_bias = _table_and_bias(modules, number, table)
        self._no_product = np.empty((0, self.table.shape[1]), np.float32)
        self._zero_rows = np.zeros(batch_size, np.int64)

    def step(self, tokens: NDArray[np.int64], below: Tensor | None) -> Tensor:
        """The layer's new units in uint8, from the tokens [B] or the layer below."""
        first = self.input is None or below is None
        step_rows(
            self.kind,
            self.table,
            tokens if first else self._zero_rows,
            self._no_product if first else self.input.product(below),  # type: ignore[union-attr, arg-type]
            self.recurrent.product(self.quantized),
            self.recurrent_bias,
            self.cell,
            self.hidden,
            self.quantized.numpy(),
        )
        return self.quantized


class Int8Batch:
    """PyTorch's GRU, LSTM or tanh RNN inside the shell for B streams; the head stays float32."""

    def __init__(self, modules: NetworkModules, state: Mapping[str, Tensor]) -> None:
        table = input_table(modules)
        self._layers = [Int8Layer(modules, number, state, table) for number in range(modules.layers)]
        self.size = state["hidden"].shape[1]
        self._outputs = torch.from_numpy(self._layers[-1].hidden)
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


def is_supported(layer: nn.RNNBase) -> bool:
    """Whether the layer's units stay between -1 and 1, and the processor has instructions for int8."""
    describe = getattr(torch.cpu, "get_capabilities", dict)  # not in every torch that charpipe allows
    has: dict[str, bool] = describe()
    fast = has.get("avx512_vnni") or has.get("avx_vnni") or has.get("amx_int8")
    return bool(fast) and cell_kind(layer) != RELU


def _table_and_bias(modules: NetworkModules, number: int, table: Array) -> tuple[Array, Array]:
    """What is added to the gates, a row for each token or one for all; and the bias that the GRU adds apart."""
    layer = modules.layer
    gates = len(layer.get_parameter("weight_hh_l0"))
    if not layer.bias:
        none = np.zeros(gates, np.float32)
        return (table if number == 0 else none[None]), none
    bias, recurrent_bias = (
        modules.layer_parameter(name, number).detach().numpy() for name in ("bias_ih", "bias_hh")
    )
    rows = table if number == 0 else np.zeros((1, gates), np.float32)
    summed = rows + bias + (0 if cell_kind(layer) == GRU else recurrent_bias)
    return np.ascontiguousarray(summed), recurrent_bias
