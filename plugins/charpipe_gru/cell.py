"""The GRU: the state moves towards a candidate as far as its update gate lets it (Cho et al. 2014).

The reset gate multiplies after the product with U, as in cuDNN: the candidate's two products are summed apart.
"""

from __future__ import annotations

from typing import Any

from charpipe.plugin import BOTH, HIDDEN, INPUT, Cell, sigmoid, tanh


class Gru(Cell):
    """Gates in PyTorch's order: r, z, n."""

    gates = {"reset": BOTH, "update": BOTH, "candidate": INPUT, "candidate_hidden": HIDDEN}
    state = ("hidden",)
    torch_layer = "GRU"

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        """n = tanh(W x + b + r (U h + d)), h' = (1 - z) n + z h."""
        candidate = tanh(gates.candidate + sigmoid(gates.reset) * gates.candidate_hidden)
        return {"hidden": candidate + sigmoid(gates.update) * (state.hidden - candidate)}
