"""The LSTM with coupled gates: what is forgotten is what is written (CIFG of Greff et al. 2017, "LSTM: a search space
odyssey", without peepholes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charpipe.plugin import BOTH, Cell, sigmoid, tanh


class CoupledLstm(Cell):
    """An LSTM with i = 1 - f."""

    gates = {"forget": BOTH, "candidate": BOTH, "output": BOTH}
    state = ("hidden", "cell")

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        """c' = f c + (1 - f) g, h' = o tanh(c')."""
        candidate = tanh(gates.candidate)
        cell = candidate + sigmoid(gates.forget) * (state.cell - candidate)
        return {"hidden": sigmoid(gates.output) * tanh(cell), "cell": cell}

    def first_biases(self) -> Mapping[str, float]:
        """A new cell remembers (Jozefowicz, Zaremba, Sutskever 2015)."""
        return {"forget": self.config.forget_bias}
