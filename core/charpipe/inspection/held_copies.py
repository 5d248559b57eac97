"""Copies of a model in one batch, each with one unit held at a value.

In a network whose equations are known, the value is set within the step, as soon as the unit is computed: all that
the step computes from it afterwards (an LSTM's output from its cell, the logits from the output) uses the held value.
In any other model it is set in the state between steps, so that the logits of the same step still use the model's own
value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from charpipe.cells import Expression, Trace
from charpipe.cells.traversal import evaluate, in_order
from charpipe.inspection.units import Unit
from charpipe.kernels.modules import NetworkModules
from charpipe.models import Predictor, State
from charpipe.models.predictor import NetworkPredictor
from charpipe.models.standard import modules_of, trace_of_network

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


class Copies:
    """As many copies of a model as `units`, each over the same `streams`; copy n holds `units[n]` at `values[n]`, or
    nothing if that unit is None."""

    def __init__(
        self, predictor: Predictor, units: Sequence[Unit | None], values: Sequence[float], streams: int
    ) -> None:
        self.predictor, self.copies, self.streams = predictor, len(units), streams
        self.device = getattr(predictor, "device", torch.device("cpu"))
        self._held: dict[tuple[str, int], tuple[Tensor, Tensor, Tensor]] = {}
        layers = {(unit.tensor, unit.layer) for unit in units if unit is not None}
        for tensor, layer in layers:
            here = [
                n for n, unit in enumerate(units) if unit and (unit.tensor, unit.layer) == (tensor, layer)
            ]
            numbers = [units[n].number for n in here]  # type: ignore[union-attr]
            self._held[tensor, layer] = (
                torch.tensor(here, device=self.device),
                torch.tensor(numbers, device=self.device),
                torch.tensor([values[n] for n in here], dtype=torch.float32, device=self.device)[:, None],
            )

    @torch.no_grad()
    def score(self, tokens: Tensor) -> Tensor:
        """tokens int64 [T + 1, streams] -> nats float32 [T, copies, streams] of tokens[1:], each stream read from the
        initial state."""
        tokens = tokens.to(self.device)
        step = self._steps()
        found = torch.empty(len(tokens) - 1, self.copies, self.streams)
        for place in range(len(found)):
            logits = step(tokens[place])
            targets = tokens[place + 1].repeat(self.copies)
            nats = functional.cross_entropy(logits.flatten(0, 1), targets, reduction="none")
            found[place] = nats.view(self.copies, self.streams)
        return found

    def _steps(self) -> Callable[[Tensor], Tensor]:
        """A function that reads ids [streams] and returns the logits [copies, streams, V]."""
        network = within_step(self.predictor)
        if network is not None:
            return _CellSteps(network, self).step
        state = self.predictor.initial_state(self.copies * self.streams)

        def step(ids: Tensor) -> Tensor:
            nonlocal state
            logits, state = self.predictor.step(ids.repeat(self.copies), state)
            state = self._hold_state(state)
            return logits.view(self.copies, self.streams, -1)

        return step

    def _hold_state(self, state: State) -> State:
        after = dict(state)
        for tensor, layer in self._held:
            after[tensor] = after[tensor].clone()
            shape = after[tensor][layer].shape
            values = after[tensor][layer].reshape(self.copies, self.streams, -1)
            after[tensor][layer] = self.hold(values, tensor, layer).reshape(shape)
        return after

    def hold(self, values: Tensor, tensor: str, layer: int) -> Tensor:
        """The values [copies, streams, units] of a layer with the held ones replaced."""
        if (tensor, layer) not in self._held:
            return values
        rows, numbers, held = self._held[tensor, layer]
        values = values.clone()
        values[rows, :, numbers] = held
        return values


def within_step(predictor: Predictor) -> NetworkModules | None:
    """The modules of a network whose equations are known; None for any other model."""
    if isinstance(predictor, NetworkPredictor) and isinstance(trace_of_network(predictor.network), Trace):
        return modules_of(predictor.network)  # type: ignore[arg-type]
    return None


class _CellSteps:
    """The step of a network of cells, with the units of `copies` held, and its state: [copies, streams, H] by name, for
    each layer."""

    def __init__(self, network: NetworkModules, copies: Copies) -> None:
        self.network, self.copies, trace = network, copies, network.trace
        ordered = in_order(trace.results)  # expressions are compared by identity
        self.results = [one for one in ordered if any(one is result for result in trace.results)]
        shape = (copies.copies, copies.streams, network.hidden_size)
        zeros = torch.zeros(shape, device=copies.device)
        self.state = [dict.fromkeys(trace.state, zeros) for _ in range(network.layers)]
        inputs = torch.eye(network.vocabulary_size, device=copies.device)
        self.table = self._from_input(0, network.embedding.weight if network.embedding else inputs)

    def step(self, ids: Tensor) -> Tensor:
        """ids int64 [streams] -> logits [copies, streams, V]."""
        from_input = self.table[ids].expand(self.copies.copies, -1, -1)
        for layer, before in enumerate(self.state):
            if layer:
                from_input = self._from_input(layer, self._output(layer - 1))
            sums = self._sums(layer, from_input, before[self.network.trace.state[0]])
            self.state[layer] = self._run_cell(layer, sums, before)
        logits: Tensor = self.network.head(self._output(self.network.layers - 1))
        return logits

    def _from_input(self, layer: int, inputs: Tensor) -> Tensor:
        return functional.linear(
            inputs, self._parameter("weight_ih", layer), self._parameter("bias_ih", layer)
        )

    def _parameter(self, name: str, layer: int) -> Tensor:
        return self.network.layer_parameter(name, layer)

    def _output(self, layer: int) -> Tensor:
        return self.state[layer][self.network.trace.state[0]]

    def _sums(self, layer: int, from_input: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """Each gate's sum, [copies, streams, H]."""
        trace, size = self.network.trace, self.network.hidden_size
        found = dict(
            zip((trace.gates[n] for n in trace.input_gates), torch.split(from_input, size, -1), strict=True)
        )
        if trace.hidden_gates:
            weights, bias = self._parameter("weight_hh", layer), self._parameter("bias_hh", layer)
            parts = torch.split(functional.linear(hidden, weights, bias), size, -1)
            for number, part in zip(trace.hidden_gates, parts, strict=True):
                name = trace.gates[number]
                found[name] = found[name] + part if name in found else part
        return found

    def _run_cell(
        self, layer: int, sums: Mapping[str, Tensor], before: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The state after a step, each tensor held before the others are computed from it."""
        trace = self.network.trace
        known: dict[Expression, Any] = {Expression("gate", name=name): value for name, value in sums.items()}
        known |= {Expression("state", name=name): value for name, value in before.items()}
        known |= {Expression("vector", name=name): self._parameter(name, layer) for name in trace.vectors}
        after: dict[str, Tensor] = {}
        for result in self.results:
            (value,) = evaluate([result], known, OPERATIONS, self._constant)
            names = [name for name, one in zip(trace.state, trace.results, strict=True) if one is result]
            for name in names:
                after[name] = self.copies.hold(value, name, layer)
            if len(names) == 1 and result.operands:
                known[result] = after[names[0]]
        return after

    def _constant(self, number: float) -> Tensor:
        return torch.tensor(number, device=self.copies.device)
