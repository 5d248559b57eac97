"""The minimal gated unit: one gate that both forgets and reads (Zhou, Wu, Zhang, Zhou 2016, "Minimal gated unit for
recurrent neural networks", equations 5 to 7)."""

from __future__ import annotations

from typing import Any

from charpipe.plugin import BOTH, HIDDEN, INPUT, Cell, sigmoid, tanh


class MinimalGatedUnit(Cell):
    """As in PyTorch's GRU, the gate multiplies after the product with U, where the paper multiplies before it."""

    gates = {"forget": BOTH, "candidate": INPUT, "candidate_hidden": HIDDEN}
    state = ("hidden",)

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        """n = tanh(W x + b + f (U h + d)), h' = (1 - f) h + f n."""
        forget = sigmoid(gates.forget)
        candidate = tanh(gates.candidate + forget * gates.candidate_hidden)
        return {"hidden": state.hidden + forget * (candidate - state.hidden)}
