"""The base class of recurrent cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar


class Feeds(Enum):
    """Which products a gate sums up, each with a bias: of the layer's input, of its previous output, or both."""

    INPUT = "W x + b"
    HIDDEN = "U h + d"
    BOTH = "W x + b + U h + d"


INPUT, HIDDEN, BOTH = Feeds.INPUT, Feeds.HIDDEN, Feeds.BOTH


class Cell:
    """A recurrent cell, written once as its equations.

    `gates` names the sums of a unit and says what feeds each. `state` names what is carried from step to step, [B, H]
    each; the first is the layer's output, which the products with U read. `vectors` names learnt numbers, one a unit,
    with their first values (peepholes, scales).

    `step(self, gates, state)`, or `step(self, gates, state, vectors)` for a cell with vectors, returns the next state
    by name. It is element-wise: it runs on PyTorch's tensors, and is recorded once on expressions
    (`charpipe.cells.trace`), from which the training kernels with their gradients and the sampling step follow.

    Weights have PyTorch's names and layout: `weight_ih_l0` [gates with an input * H, I], `weight_hh_l0` [gates with a
    hidden part * H, H], `bias_ih_l0`, `bias_hh_l0`; gates that both products feed come first, otherwise in the order of
    `gates`. Then `NAME_l0` [H] of each vector.
    """

    gates: ClassVar[Mapping[str, Feeds]]
    state: ClassVar[tuple[str, ...]]
    vectors: ClassVar[Mapping[str, float]] = {}
    torch_layer: ClassVar[str] = ""
    """The mode of PyTorch's layer with the same equations and weights, such as "LSTM": used where PyTorch is faster."""

    step: Callable[..., dict[str, Any]]
    """The next state from the gates' sums and the state before, to be defined by each cell."""

    def __init__(self, config: Any = None) -> None:
        self.config = config

    def first_biases(self) -> Mapping[str, float]:
        """First values of biases that are not 0, by gate."""
        return {}


def ordered_gates(cell: Cell) -> dict[str, Feeds]:
    """The gates in the order of the weights: first BOTH, then INPUT, then HIDDEN."""
    return {
        name: each for feeds in (BOTH, INPUT, HIDDEN) for name, each in cell.gates.items() if each is feeds
    }
