"""The LSTM: a cell that is written, kept and read through three gates (Hochreiter and Schmidhuber 1997, with the forget
gate of Gers, Schmidhuber and Cummins 2000)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charpipe.plugin import BOTH, Cell, sigmoid, tanh


class Lstm(Cell):
    """Gates in PyTorch's order: i, f, g, o."""

    gates = {"input": BOTH, "forget": BOTH, "candidate": BOTH, "output": BOTH}
    state = ("hidden", "cell")
    torch_layer = "LSTM"

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        """c' = f c + i g, h' = o tanh(c')."""
        cell = sigmoid(gates.forget) * state.cell + sigmoid(gates.input) * tanh(gates.candidate)
        return {"hidden": sigmoid(gates.output) * tanh(cell), "cell": cell}

    def first_biases(self) -> Mapping[str, float]:
        """A new cell remembers (Jozefowicz, Zaremba, Sutskever 2015)."""
        return {"forget": self.config.forget_bias}
