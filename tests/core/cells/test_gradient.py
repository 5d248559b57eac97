"""Derived gradients equal PyTorch's."""

from __future__ import annotations

import pytest
import torch

from charpipe.cells import Expression, gradient_of, trace_of
from charpipe.cells.traversal import evaluate
from charpipe.plugins.registry import Registry
from some_cells import CELLS

OPERATIONS = {
    "subtract": torch.subtract, "divide": torch.divide, "less": torch.lt, "less_equal": torch.le,
    **{name: getattr(torch, name) for name in
       ("add", "multiply", "sigmoid", "tanh", "relu", "exp", "log", "maximum", "minimum", "where")},
}  # fmt: skip


def number(value):
    return torch.tensor(value, dtype=torch.float64)


def leaf(kind, name):
    return Expression(kind, name=name)


def cells():
    own = [spec.cell for spec in Registry().all("architecture").values() if spec.cell is not None]
    return [*CELLS, *own]


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.__name__)
def test_gradients_equal_autograd(cell):
    trace = trace_of(cell())
    torch.manual_seed(0)
    kinds = {"gate": trace.gates, "state": trace.state, "vector": trace.vectors}
    values = {
        leaf(kind, name): torch.randn(200, dtype=torch.float64, requires_grad=True)
        for kind, names in kinds.items()
        for name in names
    }
    after = evaluate(trace.results, values, OPERATIONS, number)
    above = [torch.randn(200, dtype=torch.float64) for _ in after]
    wanted = dict(
        zip(
            values,
            torch.autograd.grad(after, list(values.values()), above, materialize_grads=True),
            strict=True,
        )
    )
    gradient = gradient_of(trace)
    known = {
        leaf("saved", str(i)): v for i, v in enumerate(evaluate(gradient.saved, values, OPERATIONS, number))
    }
    known |= {leaf("state", name): values[leaf("state", name)] for name in trace.carried}
    known |= {leaf("vector", name): values[leaf("vector", name)] for name in trace.vectors}
    for name, value, more in zip(trace.state, after, above, strict=True):
        known[leaf("gradient", name)] = more
        if name in trace.carried:
            known[leaf("after", name)] = value
    for kind, names, results in (
        ("gate", trace.gates, gradient.gates),
        ("state", trace.carried, gradient.state),
        ("vector", trace.vectors, gradient.vectors),
    ):
        for name, found in zip(names, evaluate(results, known, OPERATIONS, number), strict=True):
            torch.testing.assert_close(found.expand(200), wanted[leaf(kind, name)])


def test_lstm_and_gru_save_no_more_than_they_have_gates():
    for name in ("lstm", "gru", "rnn", "mgu", "lstm-coupled", "lstm-peephole"):
        trace = trace_of(Registry().architecture(name).cell())
        assert len(gradient_of(trace).saved) <= max(4, len(trace.gates)), name
