"""Hold units of the state at a value while a model reads and writes, as with the sentiment neuron of Radford,
Jozefowicz, Sutskever 2017."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from charpipe.cells import Trace
from charpipe.errors import UsageError
from charpipe.kernels.modules import NetworkModules
from charpipe.models.contract import Predictor, State
from charpipe.models.held_step import HeldStep
from charpipe.models.predictor import NetworkPredictor
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel
from charpipe.models.standard import modules_of, trace_of_network

FORM = re.compile(r"(?:(?P<state>[A-Za-z_]\w*)(?:\.|(?=\[)))?\[?(?P<layer>\d+)\]?[. ](?P<unit>\d+)")


@dataclass(frozen=True)
class HeldUnit:
    """A unit `state[name][layer, :, number]` and its value; without a name, of the model's output state."""

    name: str | None
    layer: int
    number: int
    value: float


def held_unit(text: str, value: float) -> HeldUnit:
    """The unit that `layer.unit`, `state.layer.unit` or `state[layer] unit` names. Raises UsageError."""
    found = FORM.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{text!r} names no unit; give layer.unit, such as 0.317, or a state's name too, such as cell.0.317"
        )
    if not abs(value) <= float(np.finfo(np.float32).max):
        raise UsageError(f"the unit {text} cannot be held at {value}; give a number")
    return HeldUnit(found["state"], int(found["layer"]), int(found["unit"]), value)


def hold(predictor: Predictor, units: Mapping[str, float]) -> Predictor:
    """The predictor with these units held; the predictor itself where there are none.

    A unit has its value as soon as it is computed: for the rest of the step (an LSTM's output is computed from the held
    cell), the layer above, the head and the next step, as in `charpipe.inspection.held_copies`. Where the equations of
    the layers are not known, a unit of another state than the output (the first one, `hidden`) has it for the next step
    only. Raises UsageError for a unit that the model does not have, and for a model that is not made of charpipe's
    recurrent layers.
    """
    if not units:
        return predictor
    wanted = [held_unit(text, float(value)) for text, value in units.items()]
    network = predictor.network if isinstance(predictor, NetworkPredictor) else None
    if not isinstance(predictor, NetworkPredictor) or not isinstance(network, LanguageModel):
        raise UsageError(_without_units(predictor))
    recurrence = network.recurrence
    if not isinstance(recurrence, TorchRecurrence):
        raise UsageError(_without_units(predictor))
    checked = [_checked(unit, recurrence) for unit in wanted]
    _check_distinct(checked)
    held = copy.copy(network)
    known = modules_of(network) if isinstance(trace_of_network(network), Trace) else None
    held._modules = {**network._modules, "recurrence": HeldRecurrence(recurrence, checked, known)}
    return NetworkPredictor(held.eval(), predictor.vocabulary_size, predictor.precision)


class HeldRecurrence(TorchRecurrence):
    """The same layers, stepped one character and one layer at a time, with units held: within the step if `known` has
    their equations."""

    def __init__(
        self, recurrence: TorchRecurrence, units: Iterable[HeldUnit], known: NetworkModules | None = None
    ) -> None:
        super().__init__(recurrence.layer, recurrence.names, cell=recurrence.cell)
        self.units = list(units)
        self._step = HeldStep(known, self._hold) if known is not None else None

    def forward(self, inputs: Tensor, state: State, resets: Tensor | None = None) -> tuple[Tensor, State]:
        """As `TorchRecurrence.forward`."""
        outputs = []
        for t, values in enumerate(inputs):
            if resets is not None:
                state = {name: value.masked_fill(resets[t, :, None], 0) for name, value in state.items()}
            after = []
            for layer in range(self.layer.num_layers):
                found = self._run(layer, values, {name: state[name][layer] for name in self.names})
                values = found[self.names[0]]
                after.append(found)
            state = {name: torch.stack([each[name] for each in after]) for name in self.names}
            outputs.append(values)
        return torch.stack(outputs), {name: value.float() for name, value in state.items()}

    def _run(self, layer: int, inputs: Tensor, before: State) -> State:
        """inputs [B, I] of a layer and its state [B, H] each -> the state after, whose first tensor is the output."""
        if self._step is not None:
            return self._step.run(layer, self._step.from_input(layer, inputs), before)
        _, after = self.run_layer(layer, inputs[None], tuple(before[name][None] for name in self.names))
        return {
            name: self._hold(value[0], name, layer) for name, value in zip(self.names, after, strict=True)
        }

    def _hold(self, values: Tensor, name: str, layer: int) -> Tensor:
        """A copy of the values [B, H] of a state with the held units replaced."""
        for unit in self.units:
            if (unit.name, unit.layer) == (name, layer):
                values = values.clone()
                values[..., unit.number] = unit.value
        return values


def _checked(unit: HeldUnit, recurrence: TorchRecurrence) -> HeldUnit:
    names, layers, size = recurrence.names, recurrence.layer.num_layers, recurrence.layer.hidden_size
    name = unit.name or names[0]
    if name not in names:
        listed = "state is " + names[0] if len(names) == 1 else "states are " + " and ".join(names)
        raise UsageError(f"the model has no state {name!r}; its {listed}")
    if unit.layer >= layers:
        raise UsageError(f"the model has no layer {unit.layer}; its layers are {_range(layers)}")
    if unit.number >= size:
        raise UsageError(f"the model has no unit {unit.number}; the units of a layer are {_range(size)}")
    return HeldUnit(name, unit.layer, unit.number, unit.value)


def _check_distinct(units: list[HeldUnit]) -> None:
    seen = set()
    for unit in units:
        place = (unit.name, unit.layer, unit.number)
        if place in seen:
            raise UsageError(
                f"the unit {unit.name}.{unit.layer}.{unit.number} is held at two values; give one of them"
            )
        seen.add(place)


def _range(count: int) -> str:
    return "0 alone" if count == 1 else f"0 to {count - 1:,}"


def _without_units(predictor: Predictor) -> str:
    if not isinstance(predictor, NetworkPredictor):
        return "a count-based model has no units that could be held; choose a run of a recurrent network"
    return "the units of this model cannot be held: its network is not made of charpipe's recurrent layers"
