"""A model with all that is needed to rebuild it: its architecture, settings and vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from charpipe.cells import Cell
from charpipe.errors import PluginError, UsageError
from charpipe.models.from_cell import build_from_cell
from charpipe.models.precision import Precision
from charpipe.models.predictor import NetworkPredictor
from charpipe.models.resets import set_end_token
from charpipe.models.shell import parameter_count
from charpipe.plugin import Architecture, ModelConfig, resolve


@dataclass
class Model:
    """`network` keeps the model contract; `vocabulary` is the content of `vocabulary.json`; `plugin` says
    which code built the network (`{"name", "version", "digest"}`)."""

    network: nn.Module
    architecture: str
    config: ModelConfig
    vocabulary: Mapping[str, Any]
    vocabulary_size: int
    plugin: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        set_end_token(self.network, self.vocabulary, self.vocabulary_size)

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return parameter_count(self.network)

    @property
    def title(self) -> str:
        """`lstm 1x512`."""
        return f"{self.architecture} {self.config.title}".strip()

    def predictor(
        self, device: torch.device | None = None, precision: Precision = "float32"
    ) -> NetworkPredictor:
        """The predictor for scoring and sampling; moves the weights to `device` if one is given."""
        if device is not None:
            self.network.to(device)
        return NetworkPredictor(self.network, self.vocabulary_size, precision)


def build_model(
    architecture: Architecture,
    config: ModelConfig,
    vocabulary: Mapping[str, Any],
    vocabulary_size: int,
    *,
    seed: int = 1,
    plugin: Mapping[str, str] | None = None,
) -> Model:
    """A new model with random weights, which depend only on `seed`; global generators do not change.

    Raises PluginError, naming the architecture, if its `build` fails.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(architecture, config, vocabulary_size)
    return Model(network, architecture.name, config, vocabulary, vocabulary_size, plugin or {})


def _builder(architecture: Architecture) -> Callable[[Any, int], nn.Module]:
    if architecture.cell is None:
        builder: Callable[[Any, int], nn.Module] = resolve(architecture.build)  # type: ignore[arg-type]
        return builder
    cell = resolve(architecture.cell) if isinstance(architecture.cell, str) else architecture.cell
    if not (isinstance(cell, type) and issubclass(cell, Cell)):
        raise PluginError(
            f"the cell of architecture {architecture.name!r} is no class derived from charpipe.plugin.Cell"
        )
    return partial(build_from_cell, cell)


def build_network(architecture: Architecture, config: ModelConfig, vocabulary_size: int) -> nn.Module:
    """The architecture's module on torch's current default device."""
    if architecture.counted:
        raise PluginError(f"architecture {architecture.name!r} has neither a cell nor a build function")
    if vocabulary_size < 1:
        raise UsageError("the vocabulary is empty; name a corpus with at least two characters")
    try:
        network = _builder(architecture)(config, vocabulary_size)
    except (PluginError, UsageError):
        raise
    except Exception as error:
        raise PluginError(f"architecture {architecture.name!r} could not be built: {error}") from error
    if not isinstance(network, nn.Module):
        raise PluginError(
            f"architecture {architecture.name!r} built a {type(network).__name__}, not a torch module"
        )
    return network
