"""The LSTM whose gates see the cell (Gers, Schmidhuber 2000; as in Greff et al. 2017, "LSTM: a search space odyssey",
where it is the vanilla LSTM)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charpipe.plugin import BOTH, Cell, sigmoid, tanh


class PeepholeLstm(Cell):
    """Each peephole is one learnt number a unit."""

    gates = {"input": BOTH, "forget": BOTH, "candidate": BOTH, "output": BOTH}
    state = ("hidden", "cell")
    vectors = {"input_peephole": 0.0, "forget_peephole": 0.0, "output_peephole": 0.0}

    def step(self, gates: Any, state: Any, vectors: Any) -> dict[str, Any]:
        """i and f see c, o sees c'; c' = f c + i g, h' = o tanh(c')."""
        i = sigmoid(gates.input + vectors.input_peephole * state.cell)
        f = sigmoid(gates.forget + vectors.forget_peephole * state.cell)
        cell = f * state.cell + i * tanh(gates.candidate)
        o = sigmoid(gates.output + vectors.output_peephole * cell)
        return {"hidden": o * tanh(cell), "cell": cell}

    def first_biases(self) -> Mapping[str, float]:
        """A new cell remembers (Jozefowicz, Zaremba, Sutskever 2015)."""
        return {"forget": self.config.forget_bias}
