"""What happens between two products of a recurrence, for a few lanes at one time step, forward and back.

Each kernel walks a lane's row in short loops over few arrays, since only such loops become vector instructions.
`source[rows[b]]` is what lane b's input adds to its gates, biases included. Names follow the equations of the
plugins; the gradients were derived from those.
"""

from __future__ import annotations

import numpy as np

from charpipe.models.engine.arithmetic import ONE, kernel, narrow, sigmoid, tanh, widen

# mypy: disable-error-code="no-untyped-def,untyped-decorator"


@kernel
def squash(products, source, out):
    """out = sigmoid(products + source)."""
    for j in range(len(out)):
        out[j] = sigmoid(widen(products[j]) + widen(source[j]))


@kernel
def bend(products, source, out):
    """out = tanh(products + source)."""
    for j in range(len(out)):
        out[j] = tanh(widen(products[j]) + widen(source[j]))


@kernel
def keep(values, out):
    """float32 as `out` keeps it."""
    for j in range(len(out)):
        out[j] = narrow(values[j], out)


@kernel
def fetch(kept, out):
    """What was kept, as float32."""
    for j in range(len(out)):
        out[j] = widen(kept[j])


@kernel
def gather(above, recurrent, out):
    """The gradient of h: from the layer above and from the step after."""
    for j in range(len(out)):
        out[j] = widen(above[j]) + widen(recurrent[j])


# --- LSTM: gates i, f, g, o; memory is the cell ------------------------------------------------------------------


@kernel
def remember(i, f, g, before, after):
    """c' = f c + i g."""
    for j in range(len(after)):
        after[j] = f[j] * before[j] + i[j] * g[j]


@kernel
def expose(o, cell, out):
    """h' = o tanh(c')."""
    for j in range(len(out)):
        out[j] = narrow(o[j] * tanh(cell[j]), out)


@kernel
def lstm_forward(products, source, rows, bias, gates, before, after, out):
    """products and gates [B, 4H]: of the recurrent weights, and activated; cells before, after [B, H]; out: h'."""
    lanes, size = before.shape
    z = np.empty(4 * size, np.float32)
    for b in range(lanes):
        sums, added = products[b], source[rows[b]]
        squash(sums[: 2 * size], added[: 2 * size], z[: 2 * size])
        bend(sums[2 * size : 3 * size], added[2 * size : 3 * size], z[2 * size : 3 * size])
        squash(sums[3 * size :], added[3 * size :], z[3 * size :])
        remember(z[:size], z[size : 2 * size], z[2 * size : 3 * size], before[b], after[b])
        expose(z[3 * size :], after[b], out[b])
        keep(z, gates[b])


@kernel
def through_output(d, o, cell, carry):
    """From h' to the cell (added to carry) and to o's sum (in the place of o)."""
    for j in range(len(d)):
        bent, gate, gradient = tanh(cell[j]), o[j], d[j]
        carry[j] += gradient * gate * (ONE - bent * bent)
        o[j] = gradient * bent * gate * (ONE - gate)


@kernel
def through_cell(i, f, g, before, carry):
    """From c' to the sums of i, f, g (in their places) and to the cell before (in carry)."""
    for j in range(len(before)):
        gradient, write, hold, new = carry[j], i[j], f[j], g[j]
        i[j] = gradient * new * write * (ONE - write)
        f[j] = gradient * before[j] * hold * (ONE - hold)
        g[j] = gradient * write * (ONE - new * new)
        carry[j] = gradient * hold


@kernel
def lstm_backward(gates, before, after, above, recurrent, carry):
    """gates [B, 4H]: activated in, gradients of their sums out; carry [B, H]: gradient of the cell, after in, before
    out; above, recurrent [B, H]: gradients of h'."""
    lanes, size = before.shape
    z, d = np.empty(4 * size, np.float32), np.empty(size, np.float32)
    for b in range(lanes):
        fetch(gates[b], z)
        gather(above[b], recurrent[b], d)
        through_output(d, z[3 * size :], after[b], carry[b])
        through_cell(z[:size], z[size : 2 * size], z[2 * size : 3 * size], before[b], carry[b])
        keep(z, gates[b])


# --- GRU: kept n, r, z, q; the sums of inputs come as n, r, z, those of the recurrence as r, z, q --------------------


@kernel
def candidate(r, q, source, out):
    """n = tanh(inputs + r q)."""
    for j in range(len(out)):
        out[j] = tanh(widen(source[j]) + r[j] * q[j])


@kernel
def shift(products, bias, out):
    """q = U h + d."""
    for j in range(len(out)):
        out[j] = widen(products[j]) + bias[j]


@kernel
def blend(n, z, before, after):
    """h' = (1 - z) n + z h."""
    for j in range(len(after)):
        after[j] = n[j] + z[j] * (before[j] - n[j])


@kernel
def gru_forward(products, source, rows, bias, gates, before, after, out):
    """products [B, 3H]: of r, z, q; gates [B, 4H]: n, r, z, q; h before, after and out [B, H]."""
    lanes, size = before.shape
    v = np.empty(4 * size, np.float32)
    n, r, z, q = v[:size], v[size : 2 * size], v[2 * size : 3 * size], v[3 * size :]
    for b in range(lanes):
        sums, added = products[b], source[rows[b]]
        squash(sums[: 2 * size], added[size:], v[size : 3 * size])
        shift(sums[2 * size :], bias, q)
        candidate(r, q, added[:size], n)
        blend(n, z, before[b], after[b])
        keep(after[b], out[b])
        keep(v, gates[b])


@kernel
def through_blend(d, n, z, before, carry):
    """From h' to the sum of n and of z (in their places), and past the gates to h (in carry)."""
    for j in range(len(d)):
        gradient, new, hold = d[j], n[j], z[j]
        n[j] = gradient * (ONE - hold) * (ONE - new * new)
        z[j] = gradient * (before[j] - new) * hold * (ONE - hold)
        carry[j] = gradient * hold


@kernel
def through_reset(dn, r, q):
    """From n's sum to the sums of r and q, in their places."""
    for j in range(len(dn)):
        gradient, reset = dn[j], r[j]
        r[j] = gradient * q[j] * reset * (ONE - reset)
        q[j] = gradient * reset


@kernel
def add_to(values, out):
    """out += values."""
    for j in range(len(out)):
        out[j] += values[j]


@kernel
def gru_backward(gates, before, after, above, recurrent, carry):
    """gates [B, 4H]: n, r, z, q in, gradients of their sums out; carry [B, H]: gradient of h past the gates."""
    lanes, size = before.shape
    v, d = np.empty(4 * size, np.float32), np.empty(size, np.float32)
    n, r, z, q = v[:size], v[size : 2 * size], v[2 * size : 3 * size], v[3 * size :]
    for b in range(lanes):
        fetch(gates[b], v)
        gather(above[b], recurrent[b], d)
        add_to(carry[b], d)
        through_blend(d, n, z, before[b], carry[b])
        through_reset(n, r, q)
        keep(v, gates[b])


# --- The plain recurrent network: h' = tanh(...) -----------------------------------------------------------------


@kernel
def rnn_forward(products, source, rows, bias, gates, before, after, out):
    """products [B, H]; after and out [B, H]: h'. Nothing is kept in gates."""
    for b in range(len(before)):
        bend(products[b], source[rows[b]], after[b])
        keep(after[b], out[b])


@kernel
def through_tanh(d, h):
    """The gradient of a tanh's argument."""
    for j in range(len(d)):
        d[j] *= ONE - h[j] * h[j]


@kernel
def rnn_backward(gates, before, after, above, recurrent, carry):
    """gates [B, H]: the gradient of the sums out."""
    d = np.empty(before.shape[1], np.float32)
    for b in range(len(before)):
        gather(above[b], recurrent[b], d)
        through_tanh(d, after[b])
        keep(d, gates[b])


# --- The input look-up --------------------------------------------------------------------------------------------


@kernel
def accumulate(values, out):
    """out += values, which were kept."""
    for j in range(len(out)):
        out[j] += widen(values[j])


@kernel
def scatter(gradients, rows, table, first, end):
    """table[rows[n], first:end] += gradients[n, first:end] for each n in turn."""
    for n in range(len(rows)):
        accumulate(gradients[n, first:end], table[rows[n], first:end])
