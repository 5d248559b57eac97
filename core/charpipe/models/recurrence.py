"""PyTorch's recurrent layers as recurrences, with the initial weights that trained best here."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from charpipe.models.contract import State


class TorchRecurrence(nn.Module):
    """`nn.RNN`, `nn.GRU` or `nn.LSTM` with named state.

    `names` are the tensors it carries, in the layer's own order: `("hidden",)` or `("hidden", "cell")`.
    """

    def __init__(self, layer: nn.RNNBase, names: tuple[str, ...]) -> None:
        super().__init__()
        self.layer = layer
        self.names = names

    def initial_state(self, batch_size: int) -> State:
        """Zeros, [layers, B, H] each, where the weights are."""
        like = next(self.parameters())
        shape = (self.layer.num_layers, batch_size, self.layer.hidden_size)
        return {name: like.new_zeros(shape) for name in self.names}

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """inputs [T, B, I] -> outputs [T, B, H] of the last layer, and the state after, float32."""
        before = tuple(state[name] for name in self.names)
        outputs, after = self.layer(inputs, before if len(before) > 1 else before[0])
        after = after if isinstance(after, tuple) else (after,)
        return outputs, {name: value.float() for name, value in zip(self.names, after, strict=True)}


@torch.no_grad()
def initialise(layer: nn.RNNBase, *, one_hot: bool, forget_gate: int | None = None) -> None:
    """Biases zero, but a forget gate's bias one (Jozefowicz, Zaremba, Sutskever 2015), so that a new cell
    remembers. Weights keep PyTorch's uniform(-1/sqrt(H), 1/sqrt(H)), except that those of one-hot characters are
    normal(0, 1), as an embedding's: each meets a single one, and would drown at the usual size.

    `forget_gate` is that gate's place among the layer's gates.
    """
    size = layer.hidden_size
    if one_hot:
        nn.init.normal_(layer.get_parameter("weight_ih_l0"))
    for name, values in layer.named_parameters():
        if name.startswith("bias"):
            values.zero_()
            if forget_gate is not None and name.startswith("bias_ih"):
                values[forget_gate * size : (forget_gate + 1) * size] = 1.0
