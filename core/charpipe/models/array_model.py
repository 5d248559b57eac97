"""A model of a cell as numpy arrays: it writes a text on a CPU without PyTorch, whose import takes seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from charpipe.cells import Cell, CellError, Trace, UncompilableError, trace_of
from charpipe.errors import RunError
from charpipe.kernels.step.network import LAYER, NetworkArrays
from charpipe.models.card import read_card
from charpipe.models.embedding import embedding_width
from charpipe.models.header import read_header
from charpipe.models.streams.arrays import MAX_TABLE, ArrayStream
from charpipe.models.streams.interface import Stream
from charpipe.models.torch_equations import equals_torch_equations
from charpipe.plugin import Architecture, ArchitectureConfig, resolve


@dataclass(frozen=True, eq=False)
class ArrayModel:
    """The arrays of a network with known equations. Its carried states are arrays too, [layers, 1, H] each."""

    network: NetworkArrays

    def initial_state(self) -> dict[str, Any]:
        """The state before any character."""
        shape = (self.network.layers, 1, self.network.hidden_size)
        return {name: np.zeros(shape, np.float32) for name in self.network.state_names}

    def read(self, ids: NDArray[np.int64], state: Mapping[str, Any]) -> dict[str, Any]:
        """The state after these tokens [T]."""
        stream = ArrayStream(self.network, state)
        for token in ids.tolist():
            stream.step(token)
        return stream.state

    def open_stream(self, state: Mapping[str, Any], engine: str = "arrays") -> Stream:
        """A stream that continues from a state, by numpy ("arrays") or by compiled loops ("compiled")."""
        if engine == "compiled":
            from charpipe.kernels.step.stream import CompiledStream  # imports numba

            return CompiledStream(self.network, state)
        return ArrayStream(self.network, state)


def read_array_model(
    folder: Path, architecture: Architecture, end_token: int | None = None
) -> ArrayModel | None:
    """The model in a bundle's folder as arrays, if it is an ordinary one of a cell whose equations can be recorded. It
    starts from the zero state before it reads the `end_token`.

    None for any other and for a file that does not fit it: `load_model` reads the one and says what is wrong with the
    other. Raises RunError for a file that is damaged.
    """
    card, path = read_card(folder), folder / "model.safetensors"
    config, size = _config(architecture, card["config"]), card["vocabulary_size"]
    trace = None if config is None else _trace(architecture, config)
    if config is None or trace is None:
        return None
    shapes = _shapes(trace, config, size)
    if size * shapes[f"{LAYER}weight_ih_l0"][0] > MAX_TABLE or not _fits(path, shapes):
        return None
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is damaged: {error}; nothing was loaded") from error
    return ArrayModel(NetworkArrays(trace, config.layers, config.hidden_size, tensors, end_token))


def _config(architecture: Architecture, values: Mapping[str, Any]) -> ArchitectureConfig | None:
    try:
        config = architecture.config.model_validate(values)
    except ValidationError:
        return None
    return config if isinstance(config, ArchitectureConfig) else None


def _trace(architecture: Architecture, config: ArchitectureConfig) -> Trace | None:
    """The equations of the architecture's cell, if it has a cell that computes what it says."""
    if architecture.cell is None:
        return None
    try:
        cell = resolve(architecture.cell) if isinstance(architecture.cell, str) else architecture.cell
        if not (isinstance(cell, type) and issubclass(cell, Cell)):
            return None
        trace = trace_of(cell(config))
    except (CellError, UncompilableError):
        return None
    if cell.torch_layer and not equals_torch_equations(trace, cell.torch_layer):
        return None
    return trace


def _shapes(trace: Trace, config: ArchitectureConfig, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a model's file and their shapes."""
    width, hidden = embedding_width(config, vocabulary_size), config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {"head.bias": (vocabulary_size,)}
    if width:
        shapes["embedding.weight"] = (vocabulary_size, width)
    if not config.tie_weights:
        shapes["head.weight"] = (vocabulary_size, hidden)
    elif width != hidden:
        return {f"{LAYER}weight_ih_l0": (0,)}  # no file fits
    inputs, hiddens = len(trace.input_gates), len(trace.hidden_gates)
    for number in range(config.layers):
        below = hidden if number else width or vocabulary_size
        layer: dict[str, tuple[int, ...]] = {
            "weight_ih": (inputs * hidden, below),
            "bias_ih": (inputs * hidden,),
        }
        if hiddens:
            layer |= {"weight_hh": (hiddens * hidden, hidden), "bias_hh": (hiddens * hidden,)}
        layer |= dict.fromkeys(trace.vectors, (hidden,))
        shapes |= {f"{LAYER}{name}_l{number}": shape for name, shape in layer.items()}
    return shapes


def _fits(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the file has exactly these tensors, in float32 and not larger than the file can be."""
    header = read_header(path)
    size = sum(4 * math.prod(shape) for shape in shapes.values())
    found = {name: (entry["dtype"], entry.get("shape")) for name, entry in header.items()}
    wanted = {name: ("F32", list(shape)) for name, shape in shapes.items()}
    return found == wanted and path.stat().st_size >= size
