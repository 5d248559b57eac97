"""A network's weights for a page: matrices in 8 bits, a scale for each row; biases and vectors in float32."""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from charpipe.kernels.modules import NetworkModules

STEPS = 127
"""A weight is -127 to 127 times the scale of its row."""


@dataclass(frozen=True)
class Matrix:
    """A matrix [rows, columns] as `scale * numbers`: int8 numbers, and a float32 scale for each row."""

    numbers: NDArray[np.int8]
    scale: NDArray[np.float32]

    @classmethod
    def of(cls, values: torch.Tensor) -> Matrix:
        """The nearest such matrix; a row's largest weight is kept as it is, but for rounding."""
        array = values.detach().float().numpy()
        largest = np.abs(array).max(axis=1, initial=0.0)
        scale = (np.where(largest > 0, largest, 1.0) / STEPS).astype(np.float32)
        numbers = np.clip(np.rint(array / scale[:, None]), -STEPS, STEPS)
        return cls(numbers.astype(np.int8), scale)

    def values(self) -> torch.Tensor:
        """The weights that it stands for, float32."""
        return torch.from_numpy(self.numbers.astype(np.float32) * self.scale[:, None])


def quantised_network(network: nn.Module) -> nn.Module:
    """A copy of a network with the weights that the page has."""
    found = copy.deepcopy(network)
    with torch.no_grad():
        for values in found.parameters():  # a shared one comes once
            if values.ndim == 2:
                values.copy_(Matrix.of(values).values())
    return found


@dataclass(frozen=True)
class Packed:
    """The weights in one run of bytes: `layout` says where each array is, `data` is their base64."""

    layout: dict[str, Any]
    data: str
    size: int


def pack_weights(modules: NetworkModules) -> Packed:
    """The weights of a network as the page's script reads them."""
    writer = _Writer()
    layers = [_layer(writer, modules, number) for number in range(modules.layers)]
    head = writer.matrix(modules.head.weight)
    embedding = modules.embedding
    tied = embedding is not None and embedding.weight is modules.head.weight
    layout = {
        "layers": layers,
        "head": head,
        "headBias": writer.floats(modules.head.bias),
        "embedding": None if embedding is None else head if tied else writer.matrix(embedding.weight),
    }
    content = writer.content()
    return Packed(layout, base64.b64encode(content).decode("ascii"), len(content))


def _layer(writer: _Writer, modules: NetworkModules, number: int) -> dict[str, Any]:
    def parameter(name: str) -> torch.Tensor | None:
        return getattr(modules.layer, f"{name}_l{number}", None)

    recurrent = parameter("weight_hh")
    return {
        "input": writer.matrix(modules.layer_parameter("weight_ih", number)),
        "recurrent": None if recurrent is None else writer.matrix(recurrent),
        "inputBias": writer.floats(parameter("bias_ih")),
        "recurrentBias": writer.floats(parameter("bias_hh")),
        "vectors": [writer.floats(modules.layer_parameter(name, number)) for name in modules.trace.vectors],
    }


class _Writer:
    """Collects arrays, each at a multiple of four bytes, and tells where they are: [byte, length]."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def matrix(self, values: torch.Tensor) -> dict[str, Any]:
        found = Matrix.of(values)
        rows, columns = found.numbers.shape
        return {
            "rows": rows,
            "columns": columns,
            "numbers": self._add(found.numbers.tobytes(), rows * columns),
            "scale": self._add(found.scale.astype("<f4").tobytes(), rows),
        }

    def floats(self, values: torch.Tensor | None) -> list[int] | None:
        if values is None:
            return None
        array = values.detach().float().numpy().astype("<f4")
        return self._add(array.tobytes(), array.size)

    def content(self) -> bytes:
        return b"".join(self._parts)

    def _add(self, data: bytes, length: int) -> list[int]:
        at = self._at
        self._parts.append(data + bytes(-len(data) % 4))
        self._at += len(self._parts[-1])
        return [at, length]
