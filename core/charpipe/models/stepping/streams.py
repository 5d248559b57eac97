"""One stream of characters, step by step: what sampling asks for most. PyTorch spends most of such a step on
finding out what to do, so its own recurrent layers are read here as numpy arrays once and stepped without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charpipe.models.contract import Predictor, State
from charpipe.models.predictor import NetworkPredictor
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel
from charpipe.models.stepping.cells import CELLS, Array, blocks

Engine = Literal["compiled", "arrays", "plain"]
LARGEST_TABLE = 1 << 26
"""Numbers of the input look-up (characters times gates); beyond it the plain path is taken."""


class Stream(Protocol):
    """A model that reads one text, and the state it carries."""

    def step(self, token: int) -> NDArray[np.float32]:
        """Read a token; the logits of what comes next, [V]. The array is overwritten by the next step."""
        ...

    @property
    def state(self) -> State:
        """The carried state, with a batch of one."""
        ...


class StepwiseStream:
    """Any predictor as a stream."""

    def __init__(self, predictor: Predictor, state: State) -> None:
        self._predictor, self._state = predictor, state

    def step(self, token: int) -> NDArray[np.float32]:
        logits, self._state = self._predictor.step(torch.tensor([token]), self._state)
        found: NDArray[np.float32] = logits[0].float().cpu().numpy()
        return found

    @property
    def state(self) -> State:
        return self._state


class ArrayStream:
    """PyTorch's RNN, GRU or LSTM inside the shell, stepped in float32 by numpy.

    The logits are those of the plain path but for rounding (1e-6 or so), which a network with very large recurrent
    weights may amplify. The weights are copied: a stream does not see a later update.
    """

    def __init__(self, network: LanguageModel, state: State) -> None:
        recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
        layer = recurrence.layer
        carried = {name: _array(state[name][:, 0]).copy() for name in recurrence.names}
        cell = CELLS[type(layer)](layer, carried)
        self._cell = cell
        self.step = _compile(cell.steps(_input_table(network)), cell.outputs, _head(network, cell.scale))

    step: Callable[[int], NDArray[np.float32]]

    @property
    def state(self) -> State:
        return {name: torch.from_numpy(value)[:, None] for name, value in self._cell.state().items()}


def open_stream(
    predictor: Predictor, state: State, engine: Engine = "arrays", *, graphs: bool = False
) -> Stream:
    """A stream going on from `state` (a batch of one): by that engine, or as any predictor where it does not
    fit. `graphs` records the step on CUDA."""
    network = quick_network(predictor) if engine != "plain" else None
    if network is not None and engine == "compiled":
        from charpipe.models.stepping.compiled import CompiledStream

        return CompiledStream(network, state)
    if network is not None:
        return ArrayStream(network, state)
    if graphs and isinstance(predictor, NetworkPredictor) and predictor.device.type == "cuda":
        from charpipe.models.stepping.graphs import GraphStream

        return GraphStream(predictor, state)
    return StepwiseStream(predictor, state)


def quick_network(predictor: Predictor) -> LanguageModel | None:
    """The network, if it is one whose every step is known here: the shell around a layer of PyTorch's own."""
    if not isinstance(predictor, NetworkPredictor):
        return None
    network = predictor.network
    if type(network) is not LanguageModel or type(network.recurrence) is not TorchRecurrence:
        return None
    return network if _fits(predictor, network, network.recurrence.layer) else None


def _fits(predictor: NetworkPredictor, network: LanguageModel, layer: nn.RNNBase) -> bool:
    return (
        type(layer) in CELLS
        and not (layer.bidirectional or layer.proj_size or _is_watched(network))
        and predictor.precision == "float32"
        and all(p.device.type == "cpu" and p.dtype == torch.float32 for p in network.parameters())
        and network.vocabulary_size * layer.get_parameter("weight_hh_l0").shape[0] <= LARGEST_TABLE
    )


def _is_watched(network: nn.Module) -> bool:
    """Whether someone hooked into a module, and would miss its call."""
    return any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def _compile(
    layers: list[Callable[[int], Any]], outputs: Array, head: tuple[Array, Array]
) -> Callable[[int], Array]:
    weights, bias = head
    logits = np.empty_like(bias)
    pieces = blocks(weights, logits)
    dot, add = np.dot, np.add

    def step(token: int) -> Array:
        for layer in layers:
            layer(token)
        for piece, part in pieces:
            dot(outputs, piece, out=part)
        return add(logits, bias, out=logits)

    return step


def _input_table(network: LanguageModel) -> Array:
    """What each character adds to the first layer's gates, [V, gates]: the product with its one-hot row."""
    weights = network.recurrence.layer.get_parameter("weight_ih_l0").detach()  # type: ignore[union-attr]
    if network.embedding is None:
        return _array(weights.T)
    return _array(network.embedding.weight.detach() @ weights.T)


def _head(network: LanguageModel, scale: float) -> tuple[Array, Array]:
    return _array(network.head.weight.detach().T) * np.float32(scale), _array(network.head.bias.detach())


def _array(values: Tensor) -> Array:
    return np.ascontiguousarray(values.detach().numpy())
