"""The plain side of the comparisons of training speed: a model and its loop as one writes them first in PyTorch.

T: window, B: streams, I: inputs, H: units.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.cells import Cell, Feeds
from charpipe.cells.cell import ordered_gates
from charpipe.cells.trace import Named
from charpipe.errors import UsageError
from charpipe.models import LanguageModel
from charpipe.models.from_cell import MODES
from charpipe.plugin import Architecture, resolve

CHARACTERS = "\n !$&',-.3:;?" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + "abcdefghijklmnopqrstuvwxyz"
Shape = tuple[int, ...]
"""Layers, units, streams, window."""
Step = Callable[[], Tensor]
"""An update; it returns its loss."""


class Plain(nn.Module):
    """A language model around `layers(values [T, B, I], state or None) -> (outputs [T, B, H], state)`."""

    def __init__(self, layers: nn.Module, size: int) -> None:
        super().__init__()
        count = len(CHARACTERS)
        self.embedding = nn.Embedding(count, count)
        self.layers = layers
        self.head = nn.Linear(size, count)

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        outputs, state = self.layers(self.embedding(ids), state)
        return self.head(outputs), state


class EagerLayer(nn.Module):
    """One layer of a cell as its author would write it: at each step two linear layers, then the equations."""

    def __init__(self, cell: Cell, inputs: int, size: int) -> None:
        super().__init__()
        feeds = list(cell.gates.values())
        self.from_inputs = sum(one is not Feeds.HIDDEN for one in feeds)
        self.from_hidden = sum(one is not Feeds.INPUT for one in feeds)
        self.cell, self.size, self.gates = cell, size, ordered_gates(cell)
        self.inputs = nn.Linear(inputs, self.from_inputs * size)
        self.hidden = nn.Linear(size, self.from_hidden * size) if self.from_hidden else None
        first = {
            name: nn.Parameter(torch.full((size,), float(value))) for name, value in cell.vectors.items()
        }
        self.vectors = nn.ParameterDict(first)

    def forward(self, values: Tensor, state: dict[str, Tensor] | None) -> tuple[Tensor, dict[str, Tensor]]:
        if state is None:
            state = {name: values.new_zeros(values.shape[1], self.size) for name in self.cell.state}
        outputs = []
        for step in values:
            state = self.one_step(step, state)
            outputs.append(state[self.cell.state[0]])
        return torch.stack(outputs), state

    def one_step(self, values: Tensor, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """From inputs [B, I] and a state [B, H] each to the next state."""
        gates = Named("gates", self._sums(values, state[self.cell.state[0]]))
        more = [Named("vectors", dict(self.vectors.items()))] if self.cell.vectors else []
        return self.cell.step(gates, Named("state", state), *more)

    def _sums(self, step: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """Each gate's sum, [B, H]."""
        inputs = iter(self.inputs(step).chunk(self.from_inputs, 1))
        hiddens = iter(() if self.hidden is None else self.hidden(hidden).chunk(self.from_hidden, 1))
        sums = {}
        for name, feeds in self.gates.items():
            if feeds is Feeds.BOTH:
                sums[name] = next(inputs) + next(hiddens)
            else:
                sums[name] = next(inputs if feeds is Feeds.INPUT else hiddens)
        return sums


class EagerLayers(nn.Module):
    """Layers of a cell, one above the other."""

    def __init__(self, cell: Cell, inputs: int, size: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EagerLayer(cell, size if place else inputs, size) for place in range(layers)
        )

    def as_torch_names(self) -> dict[str, nn.Parameter]:
        """The parameters by the names that PyTorch's layers have."""
        found = {}
        for place, layer in enumerate(self.layers):
            parts = {"ih": layer.inputs} if layer.hidden is None else {"ih": layer.inputs, "hh": layer.hidden}
            for part, linear in parts.items():
                found[f"weight_{part}_l{place}"], found[f"bias_{part}_l{place}"] = linear.weight, linear.bias
            found |= {f"{name}_l{place}": value for name, value in layer.vectors.items()}
        return found

    def forward(self, values: Tensor, state: Any) -> tuple[Tensor, Any]:
        found = []
        for place, layer in enumerate(self.layers):
            values, after = layer(values, None if state is None else state[place])
            found.append(after)
        return values, found


def cell_of(architecture: Architecture) -> type[Cell] | None:
    """The architecture's cell; None if it builds a module of its own. Raises UsageError for one that counts."""
    if architecture.counted:
        raise UsageError(f"the architecture {architecture.name!r} counts, and has no updates to time")
    found: Any = resolve(architecture.cell) if isinstance(architecture.cell, str) else architecture.cell
    return found  # type: ignore[no-any-return]


def plain_network(architecture: Architecture, config: Any, network: nn.Module) -> nn.Module:
    """The plain side of an architecture: PyTorch's layer where its cell names one, else a loop over the cell's step. An
    architecture that builds a module is compared with its own module, `network`, in a plain loop."""
    cell_type = cell_of(architecture)
    if cell_type is None:
        return network
    cell, count, size, layers = cell_type(config), len(CHARACTERS), config.hidden_size, config.layers
    if not cell.torch_layer:
        return Plain(EagerLayers(cell, count, size, layers), size)
    options = {"nonlinearity": "relu"} if cell.torch_layer == "RNN_RELU" else {}
    return Plain(MODES[cell.torch_layer](count, size, layers, **options), size)


def pairs(network: LanguageModel, plain: Plain) -> dict[str, tuple[nn.Parameter, nn.Parameter]]:
    """The parameters of charpipe's network and of its plain side that mean the same, by charpipe's name."""
    ours: nn.Module = network.recurrence.layer  # type: ignore[assignment]
    theirs = dict(plain.layers.named_parameters())
    if isinstance(plain.layers, EagerLayers):
        theirs = plain.layers.as_torch_names()
    found = {name: (ours.get_parameter(name), value) for name, value in theirs.items()}
    found["head.weight"] = network.head.weight, plain.head.weight
    found["head.bias"] = network.head.bias, plain.head.bias
    return found


@torch.no_grad()
def copy_weights(network: LanguageModel, plain: Plain) -> None:
    """Give the plain side the weights of charpipe's network, and one-hot inputs as the network has them."""
    for ours, theirs in pairs(network, plain).values():
        theirs.copy_(ours)
    plain.embedding.weight.copy_(torch.eye(len(CHARACTERS)))
    plain.embedding.weight.requires_grad_(False)


def detached(state: Any) -> Any:
    """A state of any form without its gradients."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {name: detached(value) for name, value in state.items()}
    return type(state)(detached(value) for value in state)


def plain_step(
    network: nn.Module,
    forward: Callable[[Tensor, Any], tuple[Tensor, Any]],
    ids: Tensor,
    state: Any,
    *,
    autocast: bool,
    weight_decay: float = 0.01,
) -> Step:
    """An update of the plain loop on ids int64 [T + 1, B]: cross entropy, clipping, fused AdamW, with carried state.
    `forward` is the network, or its compiled form."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=weight_decay, fused=True)
    kept = [state]

    def step() -> Tensor:
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=autocast):
            logits, after = forward(ids[:-1], kept[0])
        loss = functional.cross_entropy(logits.float().flatten(0, 1), ids[1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        kept[0] = detached(after)
        return loss.detach()

    return step


def compile_network(network: nn.Module, what: str) -> nn.Module:
    """A plain network through `torch.compile`: the whole `window`, all steps unrolled, which takes minutes to compile;
    or, of a cell without a PyTorch layer, its `step`."""
    steps = [module for module in network.modules() if isinstance(module, EagerLayer)]
    if what == "window" or not steps:
        compiled: nn.Module = torch.compile(network)
        return compiled
    for layer in steps:
        layer.one_step = torch.compile(layer.one_step)  # type: ignore[method-assign]
    return network


def no_compiler() -> str | None:
    """Why `torch.compile` has nothing to compile with here, or None."""
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) or shutil.which("clang++"):
        return None
    return f"no C++ compiler is present ({compiler}), so torch.compile was not compared"
