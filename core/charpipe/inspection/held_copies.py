"""Copies of a model in one batch, each with one unit held at a value.

In a network whose equations are known, the value is set within the step, as soon as the unit is computed (see
`charpipe.models.held_step`), as `sample --clamp` does. In any other model it is set in the state between steps, so that
the logits of the same step still use the model's own value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from charpipe.cells import Trace
from charpipe.inspection.units import Unit
from charpipe.kernels.modules import NetworkModules
from charpipe.models import Predictor, State
from charpipe.models.held_step import HeldStep
from charpipe.models.predictor import NetworkPredictor
from charpipe.models.standard import modules_of, trace_of_network


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
        self.network, self.copies = network, copies.copies
        self.held = HeldStep(network, copies.hold)
        shape = (copies.copies, copies.streams, network.hidden_size)
        zeros = torch.zeros(shape, device=copies.device)
        self.state = [dict.fromkeys(network.trace.state, zeros) for _ in range(network.layers)]
        inputs = torch.eye(network.vocabulary_size, device=copies.device)
        self.table = self.held.from_input(0, network.embedding.weight if network.embedding else inputs)

    def step(self, ids: Tensor) -> Tensor:
        """ids int64 [streams] -> logits [copies, streams, V]."""
        from_input = self.table[ids].expand(self.copies, -1, -1)
        for layer, before in enumerate(self.state):
            if layer:
                from_input = self.held.from_input(layer, self._output(layer - 1))
            self.state[layer] = self.held.run(layer, from_input, before)
        logits: Tensor = self.network.head(self._output(self.network.layers - 1))
        return logits

    def _output(self, layer: int) -> Tensor:
        return self.state[layer][self.network.trace.state[0]]
