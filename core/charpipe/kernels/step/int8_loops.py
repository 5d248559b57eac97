"""The step of a layer for many streams in int8, compiled by numba: from the products of the gates to the state.

The carried state stays float32; only the inputs of products are rounded. Units are between -1 and 1, so that 127 steps
to either side of 128 cover them (`int8.is_supported`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from charpipe.kernels.jit.numba_functions import compiled
from charpipe.kernels.step.cell_kernel import call_cell

f32 = np.float32


@compiled
def add(values: Any, out: Any) -> None:
    """out += values."""
    for j in range(out.shape[0]):
        out[j] += values[j]


@compiled
def quantize(values: Any, out: Any) -> None:
    """From float32, clipped to [-1, 1], to uint8 in [1, 255]."""
    for j in range(values.shape[0]):
        clipped = min(max(values[j], f32(-1)), f32(1))
        out[j] = np.uint8(np.int32(clipped * f32(127) + f32(128.5)))


@compiled
def step_rows(
    cell: Any,
    size: Any,
    table: Any,
    rows: Any,
    bias: Any,
    from_below: Any,
    from_hidden: Any,
    carry: Any,
    vectors: Any,
    hidden: Any,
    quantized: Any,
) -> None:
    """One layer's step for all streams: the sums of `table[rows[b]]` [I], of `bias` [.] for the gates without an input,
    and of the products `from_below` [B, I] and `from_hidden` [B, R] give the state [B, H] and its uint8 form.

    `from_below` is empty in the first layer, whose input is in the table; `from_hidden` where the cell has no such
    product. Units from `size` on are padding.
    """
    inputs = table.shape[1]
    sums = np.empty(inputs + bias.shape[0], np.float32)
    for b in range(hidden.shape[0]):
        sums[:inputs] = table[rows[b]]
        sums[inputs:] = bias
        if from_below.shape[0] > 0:
            add(from_below[b], sums[:inputs])
        if from_hidden.shape[0] > 0:
            add(from_hidden[b], sums[sums.shape[0] - from_hidden.shape[1] :])
        call_cell(cell, sums, hidden[b], hidden[b], carry[b], vectors, 0)
        hidden[b, size:] = 0
        quantize(hidden[b], quantized[b])
