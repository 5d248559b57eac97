"""Steps of many streams in eight bits, compiled: from the gates' products to state, and its units in eight bits.

What is carried stays float32; only what enters a product is rounded. Units lie between -1 and 1, so that 127 steps to
either side of 128 cover them (relu networks are left to other ways). Imported only where numba is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from charpipe.models.compiling import compiled
from charpipe.models.stepping.kernels import GRU, LSTM

f32 = np.float32


@compiled
def quick_tanh(x: Any) -> Any:
    """A continued fraction of tanh (Lambert 1770) to its seventh step: within 2e-4, far below an eighth bit."""
    x = f32(4.9) if x > f32(4.9) else x
    x = f32(-4.9) if x < f32(-4.9) else x
    s = x * x
    above = x * (f32(135135) + s * (f32(17325) + s * (f32(378) + s)))
    return above / (f32(135135) + s * (f32(62370) + s * (f32(3150) + s * f32(28))))


@compiled
def quick_sigmoid(x: Any) -> Any:
    """From tanh of the half."""
    return f32(0.5) + f32(0.5) * quick_tanh(f32(0.5) * x)


@compiled
def add(values: Any, out: Any) -> None:
    """Add one row to another."""
    for j in range(out.shape[0]):
        out[j] += values[j]


@compiled
def eighth(values: Any, out: Any) -> None:
    """From -1 ... 1 to 1 ... 255."""
    for j in range(values.shape[0]):
        out[j] = np.uint8(np.int32(values[j] * f32(127) + f32(128.5)))


@compiled
def lane_lstm(gates: Any, cell: Any, hidden: Any) -> None:
    """As `kernels.lstm`, quicker and coarser."""
    n = hidden.shape[0]
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :]
    for j in range(n):
        new = quick_sigmoid(f[j]) * cell[j] + quick_sigmoid(i[j]) * quick_tanh(g[j])
        cell[j] = new
        hidden[j] = quick_sigmoid(o[j]) * quick_tanh(new)


@compiled
def lane_gru(given: Any, carried: Any, hidden: Any) -> None:
    """As `kernels.gru`, quicker and coarser."""
    n = hidden.shape[0]
    given_r, given_z, given_n = given[:n], given[n : 2 * n], given[2 * n :]
    r, z, own = carried[:n], carried[n : 2 * n], carried[2 * n :]
    for j in range(n):
        new = quick_tanh(given_n[j] + quick_sigmoid(given_r[j] + r[j]) * own[j])
        hidden[j] = new + quick_sigmoid(given_z[j] + z[j]) * (hidden[j] - new)


@compiled
def lanes(
    kind: Any,
    base: Any,
    rows: Any,
    below: Any,
    own: Any,
    own_bias: Any,
    cell: Any,
    hidden: Any,
    eight: Any,
) -> None:
    """One layer's step for all lanes: `base[rows[b]]` [G] and the products `below` and `own` [B, G] give state [B, H].

    `below` has no lanes in the first layer, whose input is the base.
    """
    given = np.empty(base.shape[1], np.float32)
    carried = np.empty(base.shape[1], np.float32)
    for b in range(hidden.shape[0]):
        given[:] = base[rows[b]]
        if below.shape[0] > 0:
            add(below[b], given)
        if kind == GRU:
            carried[:] = own_bias
            add(own[b], carried)
            lane_gru(given, carried, hidden[b])
        else:
            add(own[b], given)
            if kind == LSTM:
                lane_lstm(given, cell[b], hidden[b])
            else:
                for j in range(hidden.shape[1]):
                    hidden[b, j] = quick_tanh(given[j])
        eighth(hidden[b], eight[b])
