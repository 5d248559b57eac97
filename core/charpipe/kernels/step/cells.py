"""The recurrent cells of one stream, compiled by numba: from pre-activations to state. Gates are in PyTorch's order."""

from __future__ import annotations

from typing import Any

import numpy as np

from charpipe.kernels.jit.numba_functions import compiled
from charpipe.kernels.step.activations import fast_sigmoid, fast_tanh, sigmoid, tanh

f32 = np.float32


@compiled
def lstm(gates: Any, c: Any, hidden: Any) -> None:
    """c' = f c + i g, h' = o tanh(c'); gates i f g o [4 n]."""
    n = hidden.shape[0]
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :]
    for j in range(n):
        new = sigmoid(f[j]) * c[j] + sigmoid(i[j]) * tanh(g[j])
        c[j] = new
        hidden[j] = sigmoid(o[j]) * tanh(new)


@compiled
def gru(from_input: Any, from_hidden: Any, old: Any, hidden: Any) -> None:
    """n = tanh(x + r u), h' = n + z (h - n), where x is n's part from the input, u that from the hidden units; gates
    r z n [3 n] of each."""
    n = hidden.shape[0]
    x_r, x_z, x_n = from_input[:n], from_input[n : 2 * n], from_input[2 * n :]
    u_r, u_z, u_n = from_hidden[:n], from_hidden[n : 2 * n], from_hidden[2 * n :]
    for j in range(n):
        new = tanh(x_n[j] + sigmoid(x_r[j] + u_r[j]) * u_n[j])
        hidden[j] = new + sigmoid(x_z[j] + u_z[j]) * (old[j] - new)


@compiled
def rnn(gates: Any, hidden: Any, relu: Any) -> None:
    """h' = tanh or relu of the pre-activations [n]."""
    if relu:
        for j in range(hidden.shape[0]):
            hidden[j] = f32(0) if gates[j] < f32(0) else gates[j]
    else:
        for j in range(hidden.shape[0]):
            hidden[j] = tanh(gates[j])


@compiled
def fast_lstm(gates: Any, c: Any, hidden: Any) -> None:
    """`lstm` with fast activations."""
    n = hidden.shape[0]
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :]
    for j in range(n):
        new = fast_sigmoid(f[j]) * c[j] + fast_sigmoid(i[j]) * fast_tanh(g[j])
        c[j] = new
        hidden[j] = fast_sigmoid(o[j]) * fast_tanh(new)


@compiled
def fast_gru(from_input: Any, from_hidden: Any, hidden: Any) -> None:
    """`gru` with fast activations, in place."""
    n = hidden.shape[0]
    x_r, x_z, x_n = from_input[:n], from_input[n : 2 * n], from_input[2 * n :]
    u_r, u_z, u_n = from_hidden[:n], from_hidden[n : 2 * n], from_hidden[2 * n :]
    for j in range(n):
        new = fast_tanh(x_n[j] + fast_sigmoid(x_r[j] + u_r[j]) * u_n[j])
        hidden[j] = new + fast_sigmoid(x_z[j] + u_z[j]) * (hidden[j] - new)
