"""The steps of recurrent networks as compiled loops. Imported only where numba is, and only when it pays.

A network is cut into parts, each with some units of every layer, so that two cores each read weights of their own.
Weights lie with a row for each input, so that the inner loop runs over outputs and needs no sum at its end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from charpipe.models.compiling import compiled

RNN, RELU, LSTM, GRU = range(4)
SPINS, PAUSE = 100_000, 50
"""How often a thread looks for the others before it sleeps between looks, and microseconds of such a sleep. It does not
yield: to a program that computes that gives away its whole turn."""
LATE, NEVER = 10, 1 << 62
"""Sleeps in a call after which the first thread goes on alone: the others' cores have work of their own."""
f32 = np.float32


class Weights(NamedTuple):
    """P parts of n units, H = P n at least; G gates a part; V characters, in P parts of W."""

    table: Any
    """[P, V, G]: what each character adds to the first layer's gates, with their biases"""
    below: Any
    """[P, L - 1, H, G]: from the layer below"""
    own: Any
    """[P, L, H, G]: from the layer's own last output"""
    bias: Any
    """[P, L, G]: of the gates from below"""
    own_bias: Any
    """[P, L, G]: of the gates from the layer itself, where they are kept apart"""
    head: Any
    """[P, H, W]"""
    head_bias: Any
    """[P, W]"""


class Carried(NamedTuple):
    """What changes from step to step, and room to work in."""

    hidden: Any
    """[2, L, H]: the outputs of this step and the last, in turns"""
    cell: Any
    """[L, H]"""
    gates: Any
    """[2, P, G]"""
    logits: Any
    """[P, W]"""


@compiled
def product(weights: Any, inputs: Any, out: Any) -> None:
    """Add inputs [K] times weights [K, N] to out [N]; K is a multiple of eight."""
    for k in range(0, weights.shape[0], 8):
        a, b, c, d = inputs[k], inputs[k + 1], inputs[k + 2], inputs[k + 3]
        e, f, g, h = inputs[k + 4], inputs[k + 5], inputs[k + 6], inputs[k + 7]
        wa, wb, wc, wd = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        we, wf, wg, wh = weights[k + 4], weights[k + 5], weights[k + 6], weights[k + 7]
        for j in range(weights.shape[1]):
            first = wa[j] * a + wb[j] * b + wc[j] * c + wd[j] * d
            out[j] += first + (we[j] * e + wf[j] * f + wg[j] * g + wh[j] * h)


@compiled
def exp(x: Any) -> Any:
    """e to the x within two units in the last place: 2 to a whole number, times a Taylor series of the rest."""
    x = f32(88) if x > f32(88) else x
    x = f32(-87) if x < f32(-87) else x
    whole = np.floor(x * f32(1.4426950408889634) + f32(0.5))
    rest = (x - whole * f32(0.693359375)) + whole * f32(2.12194440e-4)
    series = f32(1 / 720) + rest * f32(1 / 5040)
    series = f32(1 / 24) + rest * (f32(1 / 120) + rest * series)
    series = f32(1) + rest * (f32(1) + rest * (f32(0.5) + rest * (f32(1 / 6) + rest * series)))
    power = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23))
    return series * power.view(f32)


@compiled
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return f32(1) / (f32(1) + exp(-x))


@compiled
def tanh(x: Any) -> Any:
    """The hyperbolic tangent within 2e-7; near zero that is its absolute error."""
    return f32(1) - f32(2) / (f32(1) + exp(x + x))


@compiled
def lstm(gates: Any, cell: Any, hidden: Any) -> None:
    """c' = f c + i g, h' = o tanh(c'), the gates in PyTorch's order i f g o."""
    n = hidden.shape[0]
    i, f, g, o = gates[:n], gates[n : 2 * n], gates[2 * n : 3 * n], gates[3 * n :]
    for j in range(n):
        new = sigmoid(f[j]) * cell[j] + sigmoid(i[j]) * tanh(g[j])
        cell[j] = new
        hidden[j] = sigmoid(o[j]) * tanh(new)


@compiled
def gru(given: Any, carried: Any, old: Any, hidden: Any) -> None:
    """n = tanh(given + r carried), h' = n + z (h - n), the gates in PyTorch's order r z n."""
    n = hidden.shape[0]
    given_r, given_z, given_n = given[:n], given[n : 2 * n], given[2 * n :]
    r, z, own = carried[:n], carried[n : 2 * n], carried[2 * n :]
    for j in range(n):
        new = tanh(given_n[j] + sigmoid(given_r[j] + r[j]) * own[j])
        hidden[j] = new + sigmoid(given_z[j] + z[j]) * (old[j] - new)


@compiled
def simple(gates: Any, hidden: Any, relu: Any) -> None:
    """h' = tanh or relu of the gates."""
    if relu:
        for j in range(hidden.shape[0]):
            hidden[j] = f32(0) if gates[j] < f32(0) else gates[j]
    else:
        for j in range(hidden.shape[0]):
            hidden[j] = tanh(gates[j])


@compiled
def layer(kind: Any, w: Weights, s: Carried, part: Any, number: Any, token: Any, now: Any) -> None:
    """One part of one layer reads a token or the layer below, and writes its units of `hidden[now]`."""
    given = s.gates[0, part]
    carried = s.gates[1, part] if kind == GRU else given
    given[:] = w.table[part, token] if number == 0 else w.bias[part, number]
    if kind == GRU:
        carried[:] = w.own_bias[part, number]
    before = s.hidden[1 - now, number]
    product(w.own[part, number], before, carried)
    if number > 0:
        product(w.below[part, number - 1], s.hidden[now, number - 1], given)
    size = before.shape[0] // w.own.shape[0]
    start, end = part * size, (part + 1) * size
    hidden = s.hidden[now, number, start:end]
    if kind == LSTM:
        lstm(given, s.cell[number, start:end], hidden)
    elif kind == GRU:
        gru(given, carried, before[start:end], hidden)
    else:
        simple(given, hidden, kind == RELU)


@compiled
def head(w: Weights, s: Carried, part: Any, now: Any) -> None:
    """One part of the logits."""
    logits = s.logits[part]
    logits[:] = w.head_bias[part]
    product(w.head[part], s.hidden[now, s.hidden.shape[1] - 1], logits)


@intrinsic  # type: ignore[untyped-decorator]
def _add_one(context: Any, counter: Any) -> Any:
    """Count up by one for all threads to see."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from numba.core import cgutils

        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        builder.atomic_rmw("add", array.data, ir.Constant(ir.IntType(64), 1), "seq_cst")
        return cgutils.get_null_value(ir.IntType(64))

    return types.int64(counter), generate


@intrinsic  # type: ignore[untyped-decorator]
def _count(context: Any, counter: Any) -> Any:
    """What the threads have counted up to."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(array.data, "acquire", align=8)

    return types.int64(counter), generate


_sleep = types.ExternalFunction("usleep", types.int32(types.uint32))


@compiled
def meet(counter: Any, awaited: Any) -> int:
    """Wait until `awaited` arrivals are counted, this one among them. Returns how often it slept meanwhile."""
    _add_one(counter)
    spins = 0
    while _count(counter) < awaited:
        spins += 1
        if spins > SPINS:
            _sleep(np.uint32(PAUSE))
    return max(0, spins - SPINS)


@compiled
def share(team: Any, last: Any) -> None:
    """Wait for the other threads of a team; `last` in a step. The first thread goes on alone from the next step on if
    it has waited too long: it says so before it arrives, so that all see it when they leave."""
    team.awaited[0] += team.threads
    if last and team.first == 0 and team.late[0] > LATE and team.parting[0] == NEVER:
        team.parting[0] = team.awaited[0]
    team.late[0] += meet(team.counter, team.awaited[0])


@compiled
def parted(team: Any) -> bool:
    """Whether the first thread of a team goes on alone."""
    return team.threads > 1 and team.awaited[0] >= team.parting[0]  # type: ignore[no-any-return]


@compiled
def step(kind: Any, w: Weights, s: Carried, team: Any, token: Any, now: Any, with_head: Any) -> None:
    """Read a token; the parts from `team.first` to `team.last` are this thread's, or all where it goes on alone."""
    alone = team.threads == 1 or parted(team)
    end, layers = w.own.shape[0] if alone else team.last, s.cell.shape[0]
    for number in range(layers):
        for part in range(team.first, end):
            layer(kind, w, s, part, number, token, now)
        if not alone:
            share(team, number == layers - 1 and not with_head)
    if with_head:
        for part in range(team.first, end):
            head(w, s, part, now)
        if not alone:
            share(team, True)


class Team(NamedTuple):
    """A thread's share of the work, and what it needs to wait for the others."""

    first: int
    last: int
    threads: int
    counter: Any
    """int64 [1], shared: arrivals of all threads"""
    awaited: Any
    """int64 [1], the thread's own: arrivals after which it may go on"""
    late: Any
    """int64 [1], the thread's own: how often it slept while it waited"""
    parting: Any
    """int64 [1], shared: arrivals after which the first thread goes on alone"""


@compiled
def read(kind: Any, w: Weights, s: Carried, team: Team, tokens: Any, now: Any) -> int:
    """Read tokens; the logits after the last are left in `logits`. Returns which of `hidden` is the new one."""
    for i in range(tokens.shape[0]):
        if team.first > 0 and parted(team):
            break
        now = 1 - now
        step(kind, w, s, team, tokens[i], now, i == tokens.shape[0] - 1)
    return now  # type: ignore[no-any-return]
