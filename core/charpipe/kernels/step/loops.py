"""The step of a recurrent network for one stream, compiled by numba, and shared by several threads.

The network is split into parts, each with some units of every layer, so that each core reads weights of its own. After
every layer the threads wait for each other: each needs all units of the layer below. Where other programs use the other
cores, the first thread leaves them behind and makes the remaining steps alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from charpipe.kernels.jit.numba_functions import compiled
from charpipe.kernels.step.barrier import wait
from charpipe.kernels.step.cell_kernel import call_cell
from charpipe.kernels.step.weights import StepWeights

MAX_SLEEPS, NEVER = 10, 1 << 62
"""Sleeps at the barrier in a call after which the first thread goes on alone: other programs use the other cores."""


class StepBuffers(NamedTuple):
    """The carried state and scratch memory. `slot` is where of `hidden` the present outputs are; a step writes to the
    other one, since every part reads all previous outputs."""

    hidden: Any
    """[2, L, H]: the outputs of the last two steps"""
    carry: Any
    """[L, S - 1, H]: the other states that the cell carries"""
    sums: Any
    """[P, G * n]: the gates' sums"""
    logits: Any
    """[P, W]"""


class Worker(NamedTuple):
    """A thread's parts of the network, and its state at the barrier."""

    first: int
    """the first part"""
    end: int
    """the part after the last"""
    threads: int
    arrivals: Any
    """int64 [1], shared: arrivals of all threads at the barrier"""
    awaited: Any
    """int64 [1], the thread's own: arrivals after which it goes on"""
    sleeps: Any
    """int64 [1], the thread's own: how often it slept at the barrier"""
    alone_after: Any
    """int64 [1], shared: arrivals after which the first thread goes on alone"""


@compiled
def add_product(weights: Any, inputs: Any, out: Any) -> None:
    """out [N] += inputs [K] @ weights [K, N]; K is a multiple of 8, which are multiplied in a turn."""
    for k in range(0, weights.shape[0], 8):
        a, b, c, d = inputs[k], inputs[k + 1], inputs[k + 2], inputs[k + 3]
        e, f, g, h = inputs[k + 4], inputs[k + 5], inputs[k + 6], inputs[k + 7]
        wa, wb, wc, wd = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        we, wf, wg, wh = weights[k + 4], weights[k + 5], weights[k + 6], weights[k + 7]
        for j in range(weights.shape[1]):
            first = wa[j] * a + wb[j] * b + wc[j] * c + wd[j] * d
            out[j] += first + (we[j] * e + wf[j] * f + wg[j] * g + wh[j] * h)


@compiled
def step_layer(
    cell: Any, w: StepWeights, buffers: StepBuffers, part: Any, number: Any, token: Any, slot: Any
) -> None:
    """One part of layer `number` reads a token or the layer below, and writes its units of `hidden[slot]`."""
    sums, inputs = buffers.sums[part], w.table.shape[2]
    from_hidden = sums.shape[0] - w.recurrent.shape[3]
    sums[:inputs] = w.table[part, token] if number == 0 else w.bias[part, number, :inputs]
    if inputs < sums.shape[0]:
        sums[inputs:] = w.bias[part, number, inputs:]
    before = buffers.hidden[1 - slot, number]
    if w.recurrent.shape[3] > 0:
        add_product(w.recurrent[part, number], before, sums[from_hidden:])
    if number > 0:
        add_product(w.input[part, number - 1], buffers.hidden[slot, number - 1], sums[:inputs])
    units = before.shape[0] // w.table.shape[0]
    start, end = part * units, (part + 1) * units
    hidden = buffers.hidden[slot, number, start:end]
    call_cell(cell, sums, before[start:end], hidden, buffers.carry[number], w.vectors[number], start)
    if end > w.size:  # whatever the cell makes of padding, even NaN: products read it
        hidden[max(0, w.size - start) :] = 0


@compiled
def step_head(w: StepWeights, buffers: StepBuffers, part: Any, slot: Any) -> None:
    """One part of the logits."""
    logits = buffers.logits[part]
    logits[:] = w.head_bias[part]
    add_product(w.head[part], buffers.hidden[slot, buffers.hidden.shape[1] - 1], logits)


@compiled
def synchronize(worker: Any, last: Any) -> None:
    """Wait for the other threads; `last` in a step. If the first thread has slept too often, it goes on alone from the
    next step on: it says so before it arrives, so that all threads know when they leave the barrier."""
    worker.awaited[0] += worker.threads
    if last and worker.first == 0 and worker.sleeps[0] > MAX_SLEEPS and worker.alone_after[0] == NEVER:
        worker.alone_after[0] = worker.awaited[0]
    worker.sleeps[0] += wait(worker.arrivals, worker.awaited[0])


@compiled
def first_is_alone(worker: Any) -> bool:
    """Whether the first thread goes on alone, and the others stop."""
    return worker.threads > 1 and worker.awaited[0] >= worker.alone_after[0]  # type: ignore[no-any-return]


@compiled
def step(
    cell: Any, w: StepWeights, buffers: StepBuffers, worker: Any, token: Any, slot: Any, with_head: Any
) -> None:
    """Read a token into `hidden[slot]`; the parts from `worker.first` to before `worker.end` are this thread's, or all
    where it goes on alone."""
    alone = worker.threads == 1 or first_is_alone(worker)
    end, layers = w.table.shape[0] if alone else worker.end, buffers.carry.shape[0]
    for number in range(layers):
        for part in range(worker.first, end):
            step_layer(cell, w, buffers, part, number, token, slot)
        if not alone:
            synchronize(worker, number == layers - 1 and not with_head)
    if with_head:
        for part in range(worker.first, end):
            step_head(w, buffers, part, slot)
        if not alone:
            synchronize(worker, True)


@compiled
def read_tokens(
    cell: Any, w: StepWeights, buffers: StepBuffers, worker: Worker, tokens: Any, slot: Any
) -> int:
    """Read tokens; the logits after the last are left in `buffers.logits`. Returns the slot of the new outputs."""
    for i in range(tokens.shape[0]):
        if worker.first > 0 and first_is_alone(worker):
            break
        slot = 1 - slot
        step(cell, w, buffers, worker, tokens[i], slot, i == tokens.shape[0] - 1)
    return slot  # type: ignore[no-any-return]
