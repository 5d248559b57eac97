"""What the step reads of a network: the equations of its cell, and its weights as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from charpipe.cells import Trace

Array = NDArray[np.float32]
LAYER = "recurrence.layer."
"""Prefix of the recurrent layers' parameters in a model's file."""


class StepNetwork(Protocol):
    """Recurrent layers between an embedding (or one-hot input) and a linear head: PyTorch's modules
    (`charpipe.kernels.modules.NetworkModules`) or arrays (`NetworkArrays`)."""

    @property
    def trace(self) -> Trace: ...
    @property
    def state_names(self) -> tuple[str, ...]: ...
    @property
    def layers(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def vocabulary_size(self) -> int: ...
    @property
    def parameter_count(self) -> int: ...
    @property
    def end_token(self) -> int | None:
        """The token before which the state is zero, or None."""
        ...

    def layer_array(self, name: str, number: int) -> Array | None:
        """A parameter of recurrent layer `number`, such as `weight_hh` [gates * H, H]; None if it has none."""
        ...

    def head_arrays(self) -> tuple[Array, Array]:
        """The head's weights [V, H] and biases [V]."""
        ...

    def embedding_array(self) -> Array | None:
        """The embedding [V, width]; None where tokens enter one-hot."""
        ...


@dataclass(frozen=True, eq=False)
class NetworkArrays:
    """A network as the `tensors` of a model's file: `recurrence.layer.weight_ih_l0`, `head.weight`, ... A head that is
    shared with the embedding is there under the embedding's name only."""

    trace: Trace
    layers: int
    hidden_size: int
    tensors: Mapping[str, Array]
    end_token: int | None = None

    @property
    def state_names(self) -> tuple[str, ...]:
        """The states that a step carries."""
        return self.trace.state

    @property
    def vocabulary_size(self) -> int:
        """V, the number of tokens."""
        return len(self.tensors["head.bias"])

    @property
    def parameter_count(self) -> int:
        """The number of weights."""
        return sum(values.size for values in self.tensors.values())

    def layer_array(self, name: str, number: int) -> Array | None:
        """A parameter of recurrent layer `number`; None if it has none."""
        return self.tensors.get(f"{LAYER}{name}_l{number}")

    def head_arrays(self) -> tuple[Array, Array]:
        """The head's weights [V, H] and biases [V]."""
        shared = self.tensors.get("head.weight", self.tensors.get("embedding.weight"))
        assert shared is not None
        return shared, self.tensors["head.bias"]

    def embedding_array(self) -> Array | None:
        """The embedding [V, width]; None where tokens enter one-hot."""
        return self.tensors.get("embedding.weight")
