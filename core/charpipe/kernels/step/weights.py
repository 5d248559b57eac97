"""The weights of a network, laid out for the step loops."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from charpipe.kernels.modules import NetworkModules

Array = NDArray[np.float32]
RNN, RELU, LSTM, GRU = range(4)
"""Kinds of cells, as the loops know them."""
UNIT_MULTIPLE = 16
"""Units of a part are a multiple of this: the width of a vector register."""


class StepWeights(NamedTuple):
    """The weights in P parts of n units each: H = P n units, padded; G = gates * n; V tokens in P parts of W.

    Each row belongs to an input, so that the inner loop runs over outputs, and needs no sum at its end.
    """

    table: Any
    """[P, V, G]: what each token adds to the first layer's gates, biases included"""
    input: Any
    """[P, L - 1, H, G]: from the layer below"""
    recurrent: Any
    """[P, L, H, G]: from the layer's own previous output"""
    bias: Any
    """[P, L, G]: of the gates from below; of all cells but the GRU both biases"""
    recurrent_bias: Any
    """[P, L, G]: of the gates from the layer itself (GRU)"""
    head: Any
    """[P, H, W]"""
    head_bias: Any
    """[P, W]"""


def cell_kind(layer: nn.RNNBase) -> int:
    """The kind of a layer's cell."""
    if isinstance(layer, nn.RNN):
        return RELU if layer.mode == "RNN_RELU" else RNN
    return LSTM if isinstance(layer, nn.LSTM) else GRU


def input_table(modules: NetworkModules) -> Array:
    """What each token adds to the first layer's gates, [V, gates * H]: W x, of x one-hot or embedded."""
    weights = modules.layer_parameter("weight_ih", 0).detach()
    if modules.embedding is None:
        return as_array(weights.T)
    return as_array(modules.embedding.weight.detach() @ weights.T)


def as_array(values: torch.Tensor) -> Array:
    """A tensor's numbers as a contiguous array."""
    return np.ascontiguousarray(values.detach().numpy())


def pack(modules: NetworkModules, parts: int) -> StepWeights:
    """The weights in parts, padded with units that stay zero."""
    layer, vocabulary_size = modules.layer, modules.vocabulary_size
    size, layers = layer.hidden_size, modules.layers
    units = UNIT_MULTIPLE * -(-size // (parts * UNIT_MULTIPLE))
    padded = units * parts

    def gates(values: Array) -> Array:
        """[rows, gates * H] -> [P, rows, gates * n]"""
        rows, count = len(values), values.shape[1] // size
        whole = np.zeros((rows, count, padded), np.float32)
        whole[:, :, :size] = values.reshape(rows, count, size)
        split = whole.reshape(rows, count, parts, units).transpose(2, 0, 1, 3)
        return split.reshape(parts, rows, count * units)

    def matrix(name: str, number: int) -> Array:
        return gates(_pad_rows(as_array(modules.layer_parameter(name, number)).T, padded))

    def bias(name: str, number: int) -> Array:
        if layer.bias:
            return as_array(modules.layer_parameter(name, number))[None]
        return np.zeros((1, len(layer.get_parameter("weight_hh_l0"))), np.float32)

    # the GRU's reset gate multiplies the recurrent bias of n, so that its biases are added apart
    apart = cell_kind(layer) == GRU
    biases = [bias("bias_ih", n) + (0 if apart else bias("bias_hh", n)) for n in range(layers)]
    recurrent_bias = [gates(bias("bias_hh", n) * np.float32(apart))[:, 0] for n in range(layers)]
    recurrent = np.stack([matrix("weight_hh", n) for n in range(layers)], 1)
    below = [matrix("weight_ih", n) for n in range(1, layers)]
    width = -(-vocabulary_size // parts)
    head = np.zeros((padded + 1, parts * width), np.float32)
    head[:size, :vocabulary_size] = as_array(modules.head.weight).T
    head[-1, :vocabulary_size] = as_array(modules.head.bias)
    head = np.ascontiguousarray(head.reshape(padded + 1, parts, width).transpose(1, 0, 2))
    return StepWeights(
        table=gates(input_table(modules) + biases[0]),
        input=np.stack(below, 1) if below else np.zeros((parts, 0, *recurrent.shape[2:]), np.float32),
        recurrent=recurrent,
        bias=np.stack([gates(values)[:, 0] for values in biases], 1),
        recurrent_bias=np.stack(recurrent_bias, 1),
        head=np.ascontiguousarray(head[:, :-1]),
        head_bias=np.ascontiguousarray(head[:, -1]),
    )


def _pad_rows(values: Array, count: int) -> Array:
    padded = np.zeros((count, values.shape[1]), np.float32)
    padded[: len(values)] = values
    return padded
