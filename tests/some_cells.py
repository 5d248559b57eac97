"""Cells for tests, from published ones to odd ones."""

from __future__ import annotations

from charpipe.plugin import (
    BOTH,
    HIDDEN,
    INPUT,
    Cell,
    exp,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    tanh,
    where,
)


class MinimalGated(Cell):
    gates = {"update": BOTH, "candidate": INPUT}
    state = ("hidden",)

    def step(self, gates, state):
        z = sigmoid(gates.update)
        return {"hidden": (1 - z) * state.hidden + z * tanh(gates.candidate)}


class Peephole(Cell):
    gates = {"input": BOTH, "forget": BOTH, "candidate": BOTH, "output": BOTH}
    state = ("hidden", "cell")
    vectors = {"input_peephole": 0.3, "forget_peephole": -0.2, "output_peephole": 0.1}

    def step(self, gates, state, vectors):
        i = sigmoid(gates.input + vectors.input_peephole * state.cell)
        f = sigmoid(gates.forget + vectors.forget_peephole * state.cell)
        cell = f * state.cell + i * tanh(gates.candidate)
        o = sigmoid(gates.output + vectors.output_peephole * cell)
        return {"hidden": o * tanh(cell), "cell": cell}


class NoRecurrentProduct(Cell):
    """After the SRU: no gate reads the previous output."""

    gates = {"candidate": INPUT, "forget": INPUT, "reset": INPUT, "skip": INPUT}
    state = ("hidden", "cell")
    vectors = {"forget_scale": 0.5, "reset_scale": -0.5}

    def step(self, gates, state, vectors):
        f = sigmoid(gates.forget + vectors.forget_scale * state.cell)
        r = sigmoid(gates.reset + vectors.reset_scale * state.cell)
        cell = f * state.cell + (1 - f) * gates.candidate
        return {"hidden": r * tanh(cell) + (1 - r) * gates.skip, "cell": cell}


class EveryOperation(Cell):
    """Gates in a mixed order, three states, and each operation that a trace may have."""

    gates = {"a": HIDDEN, "b": INPUT, "c": BOTH, "d": HIDDEN, "e": BOTH, "f": INPUT}
    state = ("hidden", "slow", "peak")
    vectors = {"scale": 0.7}

    def step(self, gates, state, vectors):
        slow = 0.9 * state.slow + 0.1 * relu(gates.a) / (1 + exp(-gates.b))
        peak = maximum(minimum(0.5 * state.peak, 1.0), tanh(gates.c)) - 0.2
        mixed = where(gates.d > 0.1, gates.e**2, -abs(gates.f)) + log(1 + state.slow**2)
        return {"hidden": tanh(vectors.scale * mixed + peak), "slow": slow, "peak": peak}


class ManyGates(Cell):
    gates = {f"g{n}": BOTH for n in range(9)}
    state = ("hidden",)

    def step(self, gates, state):
        total = sum(sigmoid(gates[f"g{n}"]) * (n - 4.5) for n in range(9))
        return {"hidden": 0.5 * state.hidden + tanh(total) * 0.5}


class Unbounded(Cell):
    gates = {"candidate": BOTH}
    state = ("hidden",)

    def step(self, gates, state):
        return {"hidden": relu(gates.candidate)}


CELLS = (MinimalGated, Peephole, NoRecurrentProduct, EveryOperation, ManyGates, Unbounded)
