"""What the kernels read of a language model: its PyTorch modules, whose parameters they use and never call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from charpipe.cells import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Array = NDArray[np.float32]


class Layers(Protocol):
    """All recurrent layers of a network: `nn.LSTM` and its like, or those of a cell."""

    num_layers: int
    hidden_size: int
    dropout: float

    def get_parameter(self, target: str) -> nn.Parameter: ...
    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...


@dataclass(frozen=True, eq=False)
class NetworkModules:
    """Recurrent layers between an `embedding` (None: one-hot input) and a linear `head`.

    `layer` has the parameters of all layers, and `trace` their equations. `state_names` are the tensors that the layer
    carries, in its order. `dropout` is that of the head's input, `layer.dropout` that between the layers,
    `recurrent_dropout` that of the recurrent weights (Wan et al. 2013). `locked_head` and `locked_layers`: one dropout
    mask a window (Gal, Ghahramani 2016), not one a step. A stream that reads `end_token` starts from the zero state.
    """

    layer: Layers
    trace: Trace
    state_names: tuple[str, ...]
    head: nn.Linear
    embedding: nn.Embedding | None
    dropout: float = 0.0
    locked_head: bool = False
    locked_layers: bool = False
    recurrent_dropout: float = 0.0
    end_token: int | None = None

    @property
    def vocabulary_size(self) -> int:
        """V, the number of tokens."""
        return self.head.out_features

    @property
    def layers(self) -> int:
        """The number of recurrent layers."""
        return self.layer.num_layers

    @property
    def hidden_size(self) -> int:
        """H, the units of a layer."""
        found: int = self.layer.hidden_size
        return found

    def parameters(self) -> list[nn.Parameter]:
        """All parameters; one that two modules share comes once."""
        found = [*self.layer.parameters(), *self.head.parameters()]
        found += self.embedding.parameters() if self.embedding is not None else ()
        return list({id(values): values for values in found}.values())

    @property
    def parameter_count(self) -> int:
        """The number of trained weights."""
        return sum(values.numel() for values in self.parameters() if values.requires_grad)

    def layer_parameter(self, name: str, number: int) -> Tensor:
        """A parameter of recurrent layer `number`, such as `weight_hh` [gates * H, H]."""
        return self.layer.get_parameter(f"{name}_l{number}")

    def layer_array(self, name: str, number: int) -> Array | None:
        """A parameter of recurrent layer `number` as an array; None if it has none."""
        found = getattr(self.layer, f"{name}_l{number}", None)
        return None if found is None else _as_array(found)

    def head_arrays(self) -> tuple[Array, Array]:
        """The head's weights [V, H] and biases [V] as arrays."""
        return _as_array(self.head.weight), _as_array(self.head.bias)

    def embedding_array(self) -> Array | None:
        """The embedding [V, width] as an array; None where tokens enter one-hot."""
        return None if self.embedding is None else _as_array(self.embedding.weight)


def _as_array(values: Any) -> Array:
    found: Array = values.detach().numpy()
    return found
