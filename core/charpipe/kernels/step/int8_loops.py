"""The step of a layer for many streams in int8, compiled by numba: from the products of the gates to the state.

The carried state stays float32; only the inputs of products are rounded. Units are between -1 and 1, so that 127 steps
to either side of 128 cover them; relu networks are not supported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from charpipe.kernels.jit.numba_functions import compiled
from charpipe.kernels.step.activations import fast_tanh
from charpipe.kernels.step.cells import fast_gru, fast_lstm
from charpipe.kernels.step.weights import GRU, LSTM

f32 = np.float32


@compiled
def add(values: Any, out: Any) -> None:
    """out += values."""
    for j in range(out.shape[0]):
        out[j] += values[j]


@compiled
def quantize(values: Any, out: Any) -> None:
    """From float32 in [-1, 1] to uint8 in [1, 255]."""
    for j in range(values.shape[0]):
        out[j] = np.uint8(np.int32(values[j] * f32(127) + f32(128.5)))


@compiled
def step_rows(
    kind: Any,
    table: Any,
    rows: Any,
    from_below: Any,
    from_hidden: Any,
    recurrent_bias: Any,
    cell: Any,
    hidden: Any,
    quantized: Any,
) -> None:
    """One layer's step for all streams: `table[rows[b]]` [G] and the products `from_below` and `from_hidden` [B, G]
    give the state [B, H] and its uint8 form.

    `from_below` is empty in the first layer, whose input is in the table.
    """
    given = np.empty(table.shape[1], np.float32)
    carried = np.empty(table.shape[1], np.float32)
    for b in range(hidden.shape[0]):
        given[:] = table[rows[b]]
        if from_below.shape[0] > 0:
            add(from_below[b], given)
        if kind == GRU:
            carried[:] = recurrent_bias
            add(from_hidden[b], carried)
            fast_gru(given, carried, hidden[b])
        else:
            add(from_hidden[b], given)
            if kind == LSTM:
                fast_lstm(given, cell[b], hidden[b])
            else:
                for j in range(hidden.shape[1]):
                    hidden[b, j] = fast_tanh(given[j])
        quantize(hidden[b], quantized[b])
