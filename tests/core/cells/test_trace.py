"""Recording a cell's step: what it may contain, and what each broken rule says."""

from __future__ import annotations

import random

import pytest
import torch

from charpipe.cells import BOTH, HIDDEN, INPUT, Cell, CellError, UncompilableError, equations, trace_of
from charpipe.cells.expression import Expression
from charpipe.plugin import maximum, sigmoid, tanh, where
from some_cells import CELLS, EveryOperation, Peephole


def make(step=None, gates=None, state=("hidden",), vectors=None):
    """A cell of one gate, or of these."""
    body = {"gates": {"a": BOTH} if gates is None else gates, "state": state, "vectors": vectors or {}}
    if step is not None:
        body["step"] = step
    return type("Mine", (Cell,), body)()


def test_every_operation_is_recorded():
    trace = trace_of(EveryOperation())
    assert trace.gates == ("c", "e", "b", "f", "a", "d")
    assert (trace.input_gates, trace.hidden_gates, trace.hidden_only) == ((0, 1, 2, 3), (0, 1, 4, 5), (4, 5))
    assert trace.carried == ("slow", "peak")


def test_what_only_products_read_is_not_carried():
    assert trace_of(Peephole()).carried == ("cell",)


@pytest.mark.parametrize("cell", CELLS)
def test_equal_cells_have_equal_traces_and_other_cells_others(cell):
    assert trace_of(cell()) == trace_of(cell())
    assert trace_of(cell()).digest == trace_of(cell()).digest
    assert len({trace_of(one()) for one in CELLS}) == len(CELLS)


def test_torch_functions_and_methods_are_recorded_as_charpipes_own():
    own = make(lambda self, g, s: {"hidden": tanh(sigmoid(g.a) * s.hidden)})
    torchs = make(lambda self, g, s: {"hidden": torch.tanh(torch.sigmoid(g.a) * s.hidden)})
    methods = make(lambda self, g, s: {"hidden": (g.a.sigmoid() * s.hidden).tanh()})
    assert trace_of(own) == trace_of(torchs) == trace_of(methods)


def test_values_that_are_computed_twice_are_one():
    first, second = (Expression("gate", name="a").tanh() for _ in range(2))
    assert first is second


def test_constants_are_folded():
    gate = Expression("gate", name="a")
    assert (
        repr((gate * 1 + 0) * (2 * 3)) == "multiply(gate.a, 6)"
        or repr((gate * 1 + 0) * 6) == "multiply(gate.a, 6)"
    )
    assert (gate * 1 + 0) is gate


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        (make(), "no method `step"),
        (make(lambda s, g, t: {"hidden": g.a}, gates={}), "must be a dict such as"),
        (make(lambda s, g, t: {"hidden": g.a}, gates={"a": "both"}), "INPUT, HIDDEN or BOTH"),
        (make(lambda s, g, t: {"hidden": g.a}, gates={"a": HIDDEN}), "no gate reads the input"),
        (make(lambda s, g, t: {"hidden": g.a}, gates={"a-b": BOTH}), "no name for a gate"),
        (
            make(lambda s, g, t: {"hidden": g.a}, gates={f"g{n}": BOTH for n in range(17)}),
            "17 gates; 16 are possible",
        ),
        (make(lambda s, g, t: {"hidden": g.a}, state="hidden"), "must be a tuple of names"),
        (make(lambda s, g, t: {"hidden": g.a}, state=("hidden", "hidden")), "there twice"),
        (make(lambda s, g, t, v: {"hidden": g.a}, vectors={"weight_x": 0.0}), "kept for weights"),
        (make(lambda s, g, t, v: {"hidden": g.a}, vectors={"scale": "1"}), "not a number"),
        (make(lambda s, g, t: {"hidden": g.a}, state=("hidden", "cell")), "does not return the state 'cell'"),
        (make(lambda s, g, t: {"hidden": g.a, "more": g.a}), "returns 'more', which is not in `state`"),
        (make(lambda s, g, t: g.a), "must return the next state by name"),
        (make(lambda s, g, t: {"hidden": 1.0}), "returns the constant 1.0"),
        (make(lambda s, g, t: {"hidden": g.a > 0}), "returns a comparison"),
        (make(lambda s, g, t: {"hidden": t.hidden}), "does not use the gate 'a'"),
        (make(lambda s, g, t: {"hidden": g.b}), "gates.b, which there is not"),
        (make(lambda s, g, t: {"hidden": g.a if g.a > 0 else t.hidden}), "decides by a value"),
        (make(lambda s, g, t: {"hidden": max(g.a, t.hidden)}), "decides by a value"),
        (
            make(lambda s, g, t: {"hidden": g.a * float(t.hidden)}),
            "turns a gate or state into a Python number",
        ),
        (make(lambda s, g, t: {"hidden": g.a + random.random()}), "may not use random numbers"),
        (make(lambda s, g, t: {"hidden": g.a + torch.rand(3)}), "combines a gate or state with a Tensor"),
        (make(lambda s, g, t: {"hidden": torch.rand(3) * g.a}), "with a Tensor"),
        (make(lambda s, g, t: {"hidden": g.a * float("nan")}), "uses the constant nan"),
        (make(lambda s, g, t: {"hidden": g.a / 0}), "divides by zero"),
        (make(lambda s, g, t: {"hidden": where(True, g.a, 0.0)}), "must be a comparison"),
        (make(lambda s, g, t: {"hidden": undefined}), "raised NameError"),  # noqa: F821
    ],
)
def test_a_broken_rule_is_one_sentence_that_names_class_line_and_rule(cell, rule):
    with pytest.raises(CellError, match="cell Mine") as error:
        trace_of(cell)
    assert rule in str(error.value)
    assert "test_trace.py, line" in str(error.value) or cell.__class__.__dict__.get("step") is None


@pytest.mark.parametrize(
    ("step", "named"),
    [
        (lambda s, g, t: {"hidden": torch.sin(g.a)}, "torch's sin"),
        (lambda s, g, t: {"hidden": g.a.mean(-1)}, ".mean"),
        (lambda s, g, t: {"hidden": g.a @ t.hidden}, "@"),
        (lambda s, g, t: {"hidden": g.a[0]}, "an index"),
        (lambda s, g, t: {"hidden": g.a**0.5}, "the power 0.5"),
        (lambda s, g, t: {"hidden": where(g.a == 0, g.a, t.hidden)}, "=="),
        (lambda s, g, t: {"hidden": torch.softmax(g.a, -1)}, "torch's softmax"),
    ],
)
def test_what_the_kernels_do_not_know_is_named_with_its_line(step, named):
    with pytest.raises(UncompilableError, match=r"cell Mine: test_trace\.py, line \d+") as error:
        trace_of(make(step))
    assert named in str(error.value)


def test_equations_read_as_they_are_written():
    cell = make(
        lambda s, g, t: {
            "hidden": (1 - sigmoid(g.z)) * t.hidden + sigmoid(g.z) * maximum(-g.n, 0.5) - (g.n + 2) / t.hidden
        },
        gates={"n": INPUT, "z": BOTH},
    )
    assert equations(trace_of(cell)) == [
        "z = W x + b + U h + d",
        "n = W x + b",
        "v1 = sigmoid(z)",
        "hidden' = (1 - v1) * hidden + v1 * maximum(-n, 0.5) - (n + 2) / hidden",
    ]
