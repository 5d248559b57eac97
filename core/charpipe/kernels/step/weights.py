"""The weights of a network, laid out for the step loops."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from charpipe.kernels.step.gate_order import gate_order, hidden_rows, input_rows
from charpipe.kernels.step.network import Array, StepNetwork

UNIT_MULTIPLE = 16
"""Units of a part are a multiple of this: the width of a vector register."""


class StepWeights(NamedTuple):
    """The weights in P parts of n units each: H = P n units, padded; V tokens in P parts of W.

    A part's sums are [G * n], the gates in `gate_order`: the first I are of gates with an input, the last R of gates
    with a hidden part. Each row of a matrix belongs to an input, so that the inner loop runs over outputs, and needs no
    sum at its end.
    """

    size: int
    """of the H units those that are not padding"""
    table: Any
    """[P, V, I]: what each token adds to the first layer's gates, biases included"""
    input: Any
    """[P, L - 1, H, I]: from the layer below"""
    recurrent: Any
    """[P, L, H, R]: from the layer's own previous output"""
    bias: Any
    """[P, L, G * n]: each gate's, of both products"""
    vectors: Any
    """[L, number of vectors, H]"""
    head: Any
    """[P, H, W]"""
    head_bias: Any
    """[P, W]"""


def input_table(modules: StepNetwork) -> Array:
    """What each token adds to the first layer's gates, [V, gates * H]: W x, of x one-hot or embedded."""
    weights, embedding = _parameter(modules, "weight_ih", 0), modules.embedding_array()
    return np.ascontiguousarray(weights.T if embedding is None else embedding @ weights.T)


def ordered_input(modules: StepNetwork, values: Array) -> Array:
    """[rows, gates with an input * H] in the order of the weights -> [rows, those gates, H] in `gate_order`."""
    return values.reshape(len(values), -1, modules.hidden_size)[:, input_rows(modules.trace)]


def ordered_hidden(modules: StepNetwork, values: Array) -> Array:
    """[rows, gates with a hidden part * H] in the order of the weights -> [rows, those gates, H] in `gate_order`."""
    return values.reshape(len(values), -1, modules.hidden_size)[:, hidden_rows(modules.trace)]


def input_weights(modules: StepNetwork, number: int) -> Array:
    """`weight_ih` of a layer as [inputs, gates, H]."""
    return ordered_input(modules, np.ascontiguousarray(_parameter(modules, "weight_ih", number).T))


def hidden_weights(modules: StepNetwork, number: int) -> Array:
    """`weight_hh` of a layer as [H, gates, H]; without gates where the cell has no such product."""
    weights = modules.layer_array("weight_hh", number)
    if weights is None:
        return np.zeros((modules.hidden_size, 0, modules.hidden_size), np.float32)
    return ordered_hidden(modules, np.ascontiguousarray(weights.T))


def gate_biases(modules: StepNetwork, number: int) -> Array:
    """Each gate's bias, [G, H]: of both products where both feed it."""
    trace = modules.trace
    feeds = [trace.feeds[i] for i in gate_order(trace)]
    found = np.zeros((len(feeds), modules.hidden_size), np.float32)
    input_bias, hidden_bias = (modules.layer_array(name, number) for name in ("bias_ih", "bias_hh"))
    if input_bias is not None:
        found[: len(trace.input_gates)] += ordered_input(modules, input_bias[None])[0]
    if hidden_bias is not None:
        found[len(feeds) - len(trace.hidden_gates) :] += ordered_hidden(modules, hidden_bias[None])[0]
    return found


def cell_vectors(modules: StepNetwork, number: int) -> Array:
    """The vectors of a layer, [number of vectors, H]."""
    names = modules.trace.vectors
    found = [_parameter(modules, name, number) for name in names]
    return np.stack(found) if found else np.zeros((0, modules.hidden_size), np.float32)


def padded_units(size: int, parts: int = 1) -> int:
    """The units of each part, with padding."""
    return UNIT_MULTIPLE * -(-size // (parts * UNIT_MULTIPLE))


def pad_last(values: Array, width: int) -> Array:
    """Zeros after the numbers of the last axis, up to so many."""
    padded = np.zeros((*values.shape[:-1], width), np.float32)
    padded[..., : values.shape[-1]] = values
    return padded


def pack(modules: StepNetwork, parts: int) -> StepWeights:
    """The weights in parts, padded with units whose weights are zero."""
    size, layers, inputs = modules.hidden_size, modules.layers, len(modules.trace.input_gates)
    units = padded_units(size, parts)
    padded = units * parts

    def in_parts(values: Array) -> Array:
        """[rows, gates, H] -> [P, rows, gates * n]"""
        rows, count, _ = values.shape
        split = pad_last(values, padded).reshape(rows, count, parts, units).transpose(2, 0, 1, 3)
        return split.reshape(parts, rows, count * units)

    def matrix(values: Array) -> Array:
        """[H, gates, H] -> [P, H padded, gates * n]"""
        return in_parts(_pad_rows(values, padded))

    biases = [gate_biases(modules, number) for number in range(layers)]
    below = [matrix(input_weights(modules, number)) for number in range(1, layers)]
    width = -(-modules.vocabulary_size // parts)
    head = np.zeros((padded + 1, parts * width), np.float32)
    head_weights, head_bias = modules.head_arrays()
    head[:size, : modules.vocabulary_size] = head_weights.T
    head[-1, : modules.vocabulary_size] = head_bias
    head_parts = head.reshape(padded + 1, parts, width).transpose(1, 0, 2)
    arrays = {
        "table": in_parts(ordered_input(modules, input_table(modules)) + biases[0][:inputs]),
        "input": np.stack(below, 1) if below else np.zeros((parts, 0, padded, inputs * units), np.float32),
        "recurrent": np.stack([matrix(hidden_weights(modules, number)) for number in range(layers)], 1),
        "bias": np.stack([in_parts(values[None])[:, 0] for values in biases], 1),
        "vectors": pad_last(np.stack([cell_vectors(modules, number) for number in range(layers)]), padded),
        "head": head_parts[:, :-1],
        "head_bias": head_parts[:, -1],
    }
    # all contiguous: the loops are compiled anew for each other layout
    return StepWeights(size=size, **{name: np.ascontiguousarray(each) for name, each in arrays.items()})


def _pad_rows(values: Array, count: int) -> Array:
    padded = np.zeros((count, *values.shape[1:]), np.float32)
    padded[: len(values)] = values
    return padded


def _parameter(modules: StepNetwork, name: str, number: int) -> Array:
    """A parameter that every layer of these equations has."""
    found = modules.layer_array(name, number)
    assert found is not None, name
    return found
