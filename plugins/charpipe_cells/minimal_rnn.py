"""MinimalRNN: the state moves towards a function of the input alone (Chen 2017, "MinimalRNN: toward more
interpretable and trainable recurrent neural networks", equations 1 to 3)."""

from __future__ import annotations

from typing import Any

from charpipe.plugin import BOTH, INPUT, Cell, sigmoid, tanh


class MinimalRnn(Cell):
    """The paper's update gate reads U_z z, a product of a product. Here it reads W x: for characters, whose z is one
    vector each, W x can be any U_z z."""

    gates = {"update": BOTH, "candidate": INPUT}
    state = ("hidden",)

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        """z = tanh(W x + b), h' = u h + (1 - u) z."""
        candidate = tanh(gates.candidate)
        return {"hidden": candidate + sigmoid(gates.update) * (state.hidden - candidate)}
