"""One step of a layer with units held: `sample --clamp` and `inspect --ablate` hold a unit by this definition.

A held unit has its value as soon as it is computed: all that the step computes from it afterwards (an LSTM's output
from its cell, the layer above and the logits from the output) and the next step use the held value. That needs the
equations of the layer.

Shapes: B: streams, with any dimensions before them; H: units of a layer; I: size of the layer's input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from charpipe.cells import Expression
from charpipe.cells.traversal import evaluate, in_order
from charpipe.kernels.modules import NetworkModules

OPERATIONS: Mapping[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "exp": torch.exp,
    "log": torch.log,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "less": torch.lt,
    "less_equal": torch.le,
    "where": torch.where,
}
"""PyTorch's functions for the operations of a trace."""
Hold = Callable[[Tensor, str, int], Tensor]
"""Returns the values [..., B, H] of a state, by name and layer, with the held units replaced."""


class HeldStep:
    """The step of the layers of `network`, by their equations, with the units that `hold` replaces."""

    def __init__(self, network: NetworkModules, hold: Hold) -> None:
        self.network, self.hold, trace = network, hold, network.trace
        ordered = in_order(trace.results)  # expressions are compared by identity
        self._results = [one for one in ordered if any(one is result for result in trace.results)]

    def from_input(self, layer: int, inputs: Tensor) -> Tensor:
        """inputs [..., B, I] -> the sums of the gates that the input feeds, [..., B, gates * H]."""
        return functional.linear(
            inputs, self._parameter("weight_ih", layer), self._parameter("bias_ih", layer)
        ).float()

    def run(self, layer: int, from_input: Tensor, before: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state [..., B, H] after a step, each tensor held before the others are computed from it."""
        trace = self.network.trace
        sums = self._sums(layer, from_input, before[trace.state[0]])
        known: dict[Expression, Any] = {Expression("gate", name=name): value for name, value in sums.items()}
        known |= {Expression("state", name=name): value for name, value in before.items()}
        known |= {Expression("vector", name=name): self._parameter(name, layer) for name in trace.vectors}
        after: dict[str, Tensor] = {}
        for result in self._results:
            (value,) = evaluate([result], known, OPERATIONS, self._constant)
            names = [name for name, one in zip(trace.state, trace.results, strict=True) if one is result]
            for name in names:
                after[name] = self.hold(value, name, layer)
            if len(names) == 1 and result.operands:
                known[result] = after[names[0]]
        return after

    def _sums(self, layer: int, from_input: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """Each gate's sum, [..., B, H]."""
        trace, size = self.network.trace, self.network.hidden_size
        found = dict(
            zip((trace.gates[n] for n in trace.input_gates), torch.split(from_input, size, -1), strict=True)
        )
        if trace.hidden_gates:
            weights, bias = self._parameter("weight_hh", layer), self._parameter("bias_hh", layer)
            parts = torch.split(functional.linear(hidden, weights, bias).float(), size, -1)
            for number, part in zip(trace.hidden_gates, parts, strict=True):
                name = trace.gates[number]
                found[name] = found[name] + part if name in found else part
        return found

    def _parameter(self, name: str, layer: int) -> Tensor:
        return self.network.layer_parameter(name, layer)

    def _constant(self, number: float) -> Tensor:
        # filled on the device: a copy from the host cannot be captured in a CUDA graph
        return torch.full((), number, device=self.network.head.weight.device)
