"""The simple recurrent unit: its products do not read the state (Lei, Zhang, Wang, Dai, Artzi 2018, "Simple recurrent
units for highly parallelizable recurrence", equations 1 to 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charpipe.plugin import INPUT, Cell, sigmoid


class Sru(Cell):
    """The highway connection has weights of its own, `skip`, since inputs and units differ in number."""

    gates = {"candidate": INPUT, "forget": INPUT, "reset": INPUT, "skip": INPUT}
    state = ("hidden", "cell")
    vectors = {"forget_scale": 0.0, "reset_scale": 0.0}

    def step(self, gates: Any, state: Any, vectors: Any) -> dict[str, Any]:
        """c' = f c + (1 - f) W x, h' = r c' + (1 - r) skip; f and r see c."""
        forget = sigmoid(gates.forget + vectors.forget_scale * state.cell)
        reset = sigmoid(gates.reset + vectors.reset_scale * state.cell)
        cell = gates.candidate + forget * (state.cell - gates.candidate)
        return {"hidden": gates.skip + reset * (cell - gates.skip), "cell": cell}

    def first_biases(self) -> Mapping[str, float]:
        """A new cell remembers (Jozefowicz, Zaremba, Sutskever 2015)."""
        return {"forget": self.config.forget_bias}
