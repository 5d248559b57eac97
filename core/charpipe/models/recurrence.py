"""Recurrent layers, PyTorch's or those of a cell, as recurrences with additional kinds of dropout."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.cells import Cell
from charpipe.models.cell_layers import CellLayers
from charpipe.models.contract import State
from charpipe.models.dropout import drop
from charpipe.models.resets import stretches

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
    "GRU": torch.gru,
    "LSTM": torch.lstm,
}
"""Those behind PyTorch's layers, by the layers' mode."""


class TorchRecurrence(nn.Module):
    """`nn.RNN`, `nn.GRU`, `nn.LSTM` or the layers of a cell, with named state.

    `cell` has the layer's equations, from which the kernels are compiled; of PyTorch's layers charpipe knows them.
    `names` are the tensors it carries, in the layer's own order: `("hidden",)` or `("hidden", "cell")`. `locked` keeps
    one mask per window for the dropout between layers. `recurrent_dropout` drops a fraction of the
    recurrent weights, with one mask per window (Merity, Keskar, Socher 2018, after Wan et al. 2013).
    """

    def __init__(
        self,
        layer: nn.RNNBase | CellLayers,
        names: tuple[str, ...],
        *,
        locked: bool = False,
        recurrent_dropout: float = 0.0,
        cell: Cell | None = None,
    ) -> None:
        super().__init__()
        self.cell = layer.cell if isinstance(layer, CellLayers) else cell
        self.layer = layer
        self.names = names
        self.locked = locked
        self.recurrent_dropout = recurrent_dropout

    def initial_state(self, batch_size: int) -> State:
        """Zeros, [layers, B, H] each, on the device of the weights."""
        like = next(self.parameters())
        shape = (self.layer.num_layers, batch_size, self.layer.hidden_size)
        return {name: like.new_zeros(shape) for name in self.names}

    def forward(self, inputs: Tensor, state: State, resets: Tensor | None = None) -> tuple[Tensor, State]:
        """inputs [T, B, I] -> outputs [T, B, H] of the last layer, and the state after, float32.

        Where `resets` [T, B] is true, a stream starts from the zero state.
        """
        before = tuple(state[name] for name in self.names)
        layer, dropout = self.layer, self.recurrent_dropout or (self.locked and self.layer.dropout)
        if isinstance(layer, CellLayers) or (self.training and dropout) or resets is not None:
            outputs, after = self._by_layer(inputs, before, resets)
        else:
            outputs, after = layer(inputs, before if len(before) > 1 else before[0])
            after = after if isinstance(after, tuple) else (after,)
        return outputs, {name: value.float() for name, value in zip(self.names, after, strict=True)}

    def recurrent_weights(self, place: int) -> Tensor | None:
        """The recurrent weights of layer `place`, [gates * H, H], or None where it has none; with dropout applied while
        training."""
        weights = getattr(self.layer, f"weight_hh_l{place}", None)
        if weights is None:
            return None
        return functional.dropout(weights, self.recurrent_dropout, self.training)

    def between(self, values: Tensor) -> Tensor:
        """Outputs [T, B, H] of a layer, with dropout for the next one."""
        return drop(values, self.layer.dropout, self.training, locked=self.locked)

    def _by_layer(
        self, values: Tensor, before: tuple[Tensor, ...], resets: Tensor | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        found: list[list[Tensor]] = []
        for place in range(self.layer.num_layers):
            given = values if place == 0 else self.between(values)
            values, after = self.run_layer(
                place, given, tuple(each[place : place + 1] for each in before), resets
            )
            found.append(after)
        return values, tuple(torch.cat(each) for each in zip(*found, strict=True))

    def run_layer(
        self, place: int, inputs: Tensor, before: tuple[Tensor, ...], resets: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Layer `place` alone: inputs [T, B, I] and its state [1, B, H] each -> outputs and the state after."""
        run = self._run_cell if isinstance(self.layer, CellLayers) else self._run_torch_layer
        return run(place, inputs, before, resets)

    def _run_cell(
        self, place: int, inputs: Tensor, before: tuple[Tensor, ...], resets: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """One layer of a cell; its state [1, B, H] each."""
        layer: CellLayers = self.layer  # type: ignore[assignment]
        state = {name: value[0] for name, value in zip(self.names, before, strict=True)}
        outputs, after = layer.run_layer(place, inputs, state, self.recurrent_weights(place), resets)
        return outputs, [after[name][None] for name in self.names]

    def _run_torch_layer(
        self, place: int, inputs: Tensor, before: tuple[Tensor, ...], resets: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """One of PyTorch's layers by itself; its state [1, B, H] each."""
        layer: nn.RNNBase = self.layer  # type: ignore[assignment]
        weights = [
            layer.get_parameter(f"weight_ih_l{place}"),
            self.recurrent_weights(place),
            layer.get_parameter(f"bias_ih_l{place}"),
            layer.get_parameter(f"bias_hh_l{place}"),
        ]
        outputs, after = [], list(before)
        with _no_word_about_weights() if inputs.is_cuda else nullcontext():
            for start, stop in [(0, len(inputs))] if resets is None else stretches(resets):
                if resets is not None:
                    after = [each.masked_fill(resets[start, :, None], 0) for each in after]
                state = after if len(after) > 1 else after[0]
                found, *after = FUNCTIONS[layer.mode](
                    inputs[start:stop], state, weights, True, 1, 0.0, True, False, False
                )
                outputs.append(found)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs), after


@contextmanager
def _no_word_about_weights() -> Iterator[None]:
    """cuDNN warns that weights are not contiguous in memory and copies them: here they are new tensors in any case."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")
        yield
