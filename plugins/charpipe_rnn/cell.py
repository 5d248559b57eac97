"""The vanilla recurrent network (Elman 1990), as the blog writes it, with one bias more, as in min-char-rnn."""

from __future__ import annotations

from typing import Any

from charpipe.plugin import BOTH, Cell, relu, tanh


class Rnn(Cell):
    """One gate, the candidate."""

    gates = {"candidate": BOTH}
    state = ("hidden",)
    torch_layer = "RNN_TANH"

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        """h' = tanh(W x + U h + b)."""
        return {"hidden": tanh(gates.candidate)}


class ReluRnn(Rnn):
    """PyTorch's `nn.RNN` with relu."""

    torch_layer = "RNN_RELU"

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        """h' = max(W x + U h + b, 0)."""
        return {"hidden": relu(gates.candidate)}
