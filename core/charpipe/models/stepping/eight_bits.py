"""Many streams in eight bits: the products of PyTorch's own recurrent layers over whole numbers, as the processor
multiplies them fastest, between compiled steps."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charpipe.models.contract import State
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel
from charpipe.models.stepping import eight_bit_kernels as lanes
from charpipe.models.stepping import kernels
from charpipe.models.stepping.cells import Array
from charpipe.models.stepping.compiled import input_table, kind_of

LARGEST, ZERO = 127, 128
"""Eight bits of a unit: so many steps to one, and what stands for zero."""


class Weights8:
    """A matrix [N, K] in eight bits with a scale for each output, arranged once for products with B rows."""

    def __init__(self, values: Tensor, lane_count: int) -> None:
        largest = values.abs().amax(1).clamp_min(1e-12)
        rounded = (values / largest[:, None] * LARGEST).round().to(torch.int8)
        self._values = torch.ops.onednn.qlinear_prepack(rounded, [lane_count, values.shape[1]])
        self._scales = largest / LARGEST
        self._zeros = torch.zeros(len(values), dtype=torch.int64)

    def product(self, inputs: Tensor) -> Array:
        """inputs uint8 [B, K], 128 for zero -> float32 [B, N]"""
        found = torch.ops.onednn.qlinear_pointwise(
            *(inputs, 1 / LARGEST, ZERO, self._values, self._scales, self._zeros, None),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        made: Array = found.numpy()
        return made


class Layer8:
    """A layer with the state of B streams."""

    def __init__(self, recurrence: TorchRecurrence, number: int, state: State, base: Array) -> None:
        layer = recurrence.layer
        self.kind = kind_of(layer)
        hidden = state["hidden"][number]
        count = len(hidden)
        self.own = Weights8(layer.get_parameter(f"weight_hh_l{number}").detach(), count)
        self.below = Weights8(layer.get_parameter(f"weight_ih_l{number}").detach(), count) if number else None
        self.hidden: Array = hidden.clone().numpy()
        self.cell: Array = state["cell"][number].clone().numpy() if "cell" in state else self.hidden
        self.eight = (hidden * LARGEST + ZERO).round().to(torch.uint8)
        self.base, self.bias = _bases(recurrence, number, base)
        self._nothing = np.empty((0, self.base.shape[1]), np.float32)
        self._same = np.zeros(count, np.int64)

    def step(self, tokens: NDArray[np.int64], below: Tensor | None) -> Tensor:
        """The layer's new units in eight bits, from the tokens or the layer below."""
        first = self.below is None or below is None
        lanes.lanes(
            self.kind,
            self.base,
            tokens if first else self._same,
            self._nothing if first else self.below.product(below),  # type: ignore[union-attr, arg-type]
            self.own.product(self.eight),
            self.bias,
            self.cell,
            self.hidden,
            self.eight.numpy(),
        )
        return self.eight


class EightBitBatch:
    """PyTorch's GRU, LSTM or tanh RNN inside the shell for B streams; the head stays float32."""

    def __init__(self, network: LanguageModel, state: State) -> None:
        recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
        table = input_table(network)
        self._layers = [Layer8(recurrence, n, state, table) for n in range(recurrence.layer.num_layers)]
        self.lanes = state["hidden"].shape[1]
        self._outputs = torch.from_numpy(self._layers[-1].hidden)
        self._head = network.head.weight.detach().t()
        self._head_bias = network.head.bias.detach()
        self._logits = torch.empty(len(self._outputs), network.vocabulary_size)

    @torch.no_grad()
    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read tokens [B]; the logits of what comes next, [B, V], overwritten by the next step."""
        below: Tensor | None = None
        for layer in self._layers:
            below = layer.step(tokens, below)
        torch.addmm(self._head_bias, self._outputs, self._head, out=self._logits)
        found: NDArray[np.float32] = self._logits.numpy()
        return found


def fits(network: LanguageModel) -> bool:
    """Whether its units stay between -1 and 1, and the processor has instructions for eight bits."""
    recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
    describe = getattr(torch.cpu, "get_capabilities", dict)  # not in every torch that charpipe allows
    has: dict[str, bool] = describe()
    quick = has.get("avx512_vnni") or has.get("avx_vnni") or has.get("amx_int8")
    return bool(quick) and kind_of(recurrence.layer) != kernels.RELU


def _bases(recurrence: TorchRecurrence, number: int, table: Array) -> tuple[Array, Array]:
    """What is added to the sums: a row for each token, or one for all; and what GRU keeps apart."""
    layer = recurrence.layer
    gates = len(layer.get_parameter("weight_hh_l0"))
    if not layer.bias:
        none = np.zeros(gates, np.float32)
        return (table if number == 0 else none[None]), none
    given = layer.get_parameter(f"bias_ih_l{number}").detach().numpy()
    own = layer.get_parameter(f"bias_hh_l{number}").detach().numpy()
    rows = table if number == 0 else np.zeros((1, gates), np.float32)
    apart = kind_of(layer) == kernels.GRU
    return np.ascontiguousarray(rows + given + (0 if apart else own)), own
