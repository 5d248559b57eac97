"""The steps of PyTorch's recurrent layers over numpy arrays, for one stream.

A step writes into preallocated arrays. sigmoid(a) = (tanh(a / 2) + 1) / 2, so that one call of tanh computes all gates
of a layer; the factor 1/2 is multiplied into the weights beforehand, which is exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

Array = NDArray[np.float32]
Step = Callable[[int], None]
HALF, ONE = np.float32(0.5), np.float32(1)
BLOCK = 1 << 18
"""Numbers of a weight matrix in one call of the BLAS: few enough that it uses one core. A second one costs more than it
gains here, and milliseconds where the machine has other work."""
MANY_INPUTS = 512
"""With so many inputs a product is a tenth faster if each output's weights are contiguous (column-major)."""


def blocks(weights: Array, out: Array) -> list[tuple[Array, Array]]:
    """Blocks of the columns of `weights` [K, N], each with the part of `out` [N] for its product."""
    width = max(1, BLOCK // len(weights))
    order: Literal["C", "F"] = "F" if len(weights) >= MANY_INPUTS else "C"
    starts = range(0, weights.shape[1], width)
    return [(np.array(weights[:, i : i + width], order=order), out[i : i + width]) for i in starts]


class ArrayCell(ABC):
    """The recurrent cell of all layers, with their carried state.

    `hidden` [layers * H] holds each layer's output divided by `scale`, layer after layer, so that the outputs of the
    layer below and a layer's own are contiguous, and one product is enough; `outputs` is the last layer's part.
    """

    scale = 1.0

    def __init__(self, layer: nn.RNNBase, carried: Mapping[str, Array]) -> None:
        self.layer, self.size = layer, layer.hidden_size
        self.hidden: Array = (carried["hidden"] / np.float32(self.scale)).reshape(-1)
        self.outputs = self.hidden[-self.size :]

    def steps(self, table: Array) -> list[Step]:
        """One step function per layer. `table` [V, gates * H] holds each token's contribution to the first layer."""
        return [self.step(number, table) for number in range(self.layer.num_layers)]

    @abstractmethod
    def step(self, number: int, table: Array) -> Step:
        """The step function of one layer; its argument is the token."""

    def state(self) -> dict[str, Array]:
        """The carried state, [layers, H] each."""
        return {"hidden": (self.hidden * np.float32(self.scale)).reshape(-1, self.size)}

    def inputs(self, number: int) -> Array:
        """The inputs of a layer's product: the output of the layer below, and its own previous output."""
        size = self.size
        return self.hidden[max(0, number - 1) * size : (number + 1) * size]

    def own(self, number: int) -> Array:
        """A layer's part of `hidden`."""
        return self.hidden[number * self.size : (number + 1) * self.size]

    def weights(self, name: str, number: int) -> Array:
        """`weight_ih` or `weight_hh` of a layer, transposed: [inputs, gates]."""
        return np.ascontiguousarray(self.layer.get_parameter(f"{name}_l{number}").detach().numpy().T)

    def bias(self, name: str, number: int) -> Array:
        """`bias_ih` or `bias_hh` of a layer, or zeros."""
        if self.layer.bias:
            found: Array = self.layer.get_parameter(f"{name}_l{number}").detach().numpy()
            return found
        return np.zeros(self.layer.get_parameter("weight_hh_l0").shape[0], np.float32)

    def joined(self, number: int) -> Array:
        """The weights for `inputs`."""
        own = self.weights("weight_hh", number)
        return own if number == 0 else np.concatenate([self.weights("weight_ih", number), own])

    def rows(self, number: int, table: Array) -> Array:
        """The terms added to a layer's product, [V, gates * H]: the biases, and in the first layer the input table."""
        both = self.bias("bias_ih", number) + self.bias("bias_hh", number)
        return table + both if number == 0 else np.broadcast_to(both, (len(table), len(both)))


class RnnCell(ArrayCell):
    """h' = tanh(W x + U h + b), or relu."""

    def step(self, number: int, table: Array) -> Step:
        inputs, own, weights = self.inputs(number), self.own(number), self.joined(number)
        rows = list(self.rows(number, table))
        gates = np.empty(self.size, np.float32)
        pieces = blocks(weights, gates)
        relu = self.layer.mode == "RNN_RELU"
        dot, add, tanh, maximum = np.dot, np.add, np.tanh, np.maximum

        def step(token: int) -> None:
            for piece, part in pieces:
                dot(inputs, piece, out=part)
            add(gates, rows[token], out=gates)
            if relu:
                maximum(gates, 0, out=own)
            else:
                tanh(gates, out=own)

        return step


class LstmCell(ArrayCell):
    """c' = f c + i g, h' = o tanh(c'). `hidden` holds 2 h: the step computes 2 o = tanh(a / 2) + 1."""

    scale = 0.5

    def __init__(self, layer: nn.RNNBase, carried: Mapping[str, Array]) -> None:
        super().__init__(layer, carried)
        size = self.size
        # i f o g c of a layer are contiguous, so that i f times g c is one multiplication
        self.work = [np.empty(5 * size, np.float32) for _ in range(layer.num_layers)]
        for work, c in zip(self.work, carried["cell"], strict=True):
            work[4 * size :] = c

    def state(self) -> dict[str, Array]:
        cells = np.stack([work[4 * self.size :] for work in self.work])
        return {**super().state(), "cell": cells}

    def _ordered(self, gates: Array) -> Array:
        """From PyTorch's order i f g o to i f o g, with the arguments of sigmoids halved."""
        i, f, g, o = np.split(gates, 4, axis=-1)
        return np.concatenate([i * HALF, f * HALF, o * HALF, g], axis=-1)

    def step(self, number: int, table: Array) -> Step:
        size, work = self.size, self.work[number]
        inputs, own = self.inputs(number), self.own(number)
        weights = self._ordered(self.joined(number) * HALF)
        rows = list(self._ordered(self.rows(number, table)))
        gates, sigmoids, c = work[: 4 * size], work[: 3 * size], work[4 * size :]
        i_and_f, o, g_and_c = work[: 2 * size], work[2 * size : 3 * size], work[3 * size :]
        pieces = blocks(weights, gates)
        products = np.empty(2 * size, np.float32)
        new, kept = products[:size], products[size:]
        dot, add, multiply, tanh = np.dot, np.add, np.multiply, np.tanh

        def step(token: int) -> None:
            for piece, part in pieces:
                dot(inputs, piece, out=part)
            add(gates, rows[token], out=gates)
            tanh(gates, out=gates)
            add(sigmoids, ONE, out=sigmoids)
            multiply(i_and_f, g_and_c, out=products)
            add(new, kept, out=new)
            multiply(new, HALF, out=c)
            tanh(c, out=new)
            multiply(o, new, out=own)

        return step


class GruCell(ArrayCell):
    """n = tanh(W x + b + r (U h + d)), h' = n + z (h - n)."""

    def _halved(self, gates: Array) -> Array:
        """r and z, the arguments of sigmoids, halved."""
        return np.concatenate([gates[..., : 2 * self.size] * HALF, gates[..., 2 * self.size :]], axis=-1)

    def step(self, number: int, table: Array) -> Step:
        size, own = self.size, self.own(number)
        below = self.own(number - 1) if number else None
        recurrent = np.ascontiguousarray(self.weights("weight_hh", number) * HALF)
        d = self.bias("bias_hh", number) * HALF
        biases = self.bias("bias_ih", number)
        rows = list(self._halved(table + biases)) if number == 0 else []
        inputs = self._halved(self.weights("weight_ih", number)) if number else None
        bias = self._halved(biases)
        given, carried = np.empty(3 * size, np.float32), np.empty(3 * size, np.float32)
        from_below = blocks(inputs, given) if inputs is not None else []
        from_own = blocks(recurrent, carried)
        r_and_z, r, z = carried[: 2 * size], carried[:size], carried[size : 2 * size]
        candidate = carried[2 * size :]
        dot, add, subtract, multiply, tanh = np.dot, np.add, np.subtract, np.multiply, np.tanh

        def step(token: int) -> None:
            if below is None:
                row = rows[token]
            else:
                for piece, part in from_below:
                    dot(below, piece, out=part)
                row = add(given, bias, out=given)
            for piece, part in from_own:
                dot(own, piece, out=part)
            add(carried, d, out=carried)
            add(r_and_z, row[: 2 * size], out=r_and_z)
            tanh(r_and_z, out=r_and_z)
            add(r_and_z, ONE, out=r_and_z)
            multiply(r, candidate, out=candidate)
            add(candidate, row[2 * size :], out=candidate)
            tanh(candidate, out=candidate)
            subtract(own, candidate, out=own)
            multiply(z, HALF, out=z)
            multiply(z, own, out=own)
            add(own, candidate, out=own)

        return step


CELLS: Mapping[type[nn.Module], type[ArrayCell]] = {nn.RNN: RnnCell, nn.GRU: GruCell, nn.LSTM: LstmCell}
