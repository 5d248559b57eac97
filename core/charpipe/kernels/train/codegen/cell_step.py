"""A cell's step and its gradients, emitted from the cell's trace for a vector register of units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from charpipe.cells import Expression, Gradient, Trace, gradient_of
from charpipe.cells.traversal import evaluate
from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.values import Mask, Vector
from charpipe.kernels.train.codegen.activations import exp, log, sigmoid, tanh

Named = Mapping[str, Vector]


@dataclass(frozen=True)
class CellStep:
    """What the sweeps need of a cell.

    A row of saved values has `slots` slots of H numbers each: the forward pass saves `saved` values there, and the
    backward pass replaces them by the gradients of the gates' sums, followed by those of the vectors.
    """

    trace: Trace

    @cached_property
    def gradient(self) -> Gradient:
        """The backward step."""
        return gradient_of(self.trace)

    @property
    def gates(self) -> int:
        """The number of gates: sums of a unit."""
        return len(self.trace.gates)

    @property
    def input_gates(self) -> tuple[int, ...]:
        """The gates that the product with the inputs feeds."""
        return self.trace.input_gates

    @property
    def hidden_gates(self) -> tuple[int, ...]:
        """The gates that the product with the previous hidden units feeds."""
        return self.trace.hidden_gates

    @property
    def carried(self) -> tuple[str, ...]:
        """The states that are carried in float32 from step to step, whatever the precision of the products."""
        return self.trace.carried

    @property
    def saved(self) -> int:
        """The number of values that the forward pass saves."""
        return len(self.gradient.saved)

    @property
    def slots(self) -> int:
        """Slots of a row of saved values."""
        return max(self.saved, self.gates + len(self.trace.vectors))

    def forward(
        self, builder: KernelBuilder, pre: Sequence[Vector], before: Named, vectors: Named, precise: bool
    ) -> tuple[list[Vector], Vector, list[Vector]]:
        """From the gates' sums, the carried states before the step and the vectors: what is saved, the hidden units,
        and the carried states after the step."""
        trace, gradient = self.trace, self.gradient
        leaves = {
            **_leaves("gate", dict(zip(trace.gates, pre, strict=True))),
            **_leaves("state", before),
            **_leaves("vector", vectors),
        }
        after = dict(zip(trace.state, trace.results, strict=True))
        wanted = [*gradient.saved, trace.results[0], *(after[name] for name in trace.carried)]
        values = evaluate(wanted, leaves, operations(precise), builder.constant)
        count = len(gradient.saved)
        return values[:count], values[count], values[count + 1 :]

    def backward(
        self,
        builder: KernelBuilder,
        saved: Sequence[Vector],
        before: Named,
        after: Named,
        vectors: Named,
        gradients: Named,
        precise: bool,
    ) -> tuple[list[Vector], list[Vector], list[Vector]]:
        """From what was saved, the carried states before and after the step, and the gradients of the next states: the
        gradients of the gates' sums, of the carried states before the step, and of the vectors."""
        trace, gradient = self.trace, self.gradient
        leaves = {
            **_leaves("saved", {str(number): value for number, value in enumerate(saved)}),
            **_leaves("state", before),
            **_leaves("after", after),
            **_leaves("vector", vectors),
            **_leaves("gradient", gradients),
        }
        wanted = [*gradient.gates, *gradient.state, *gradient.vectors]
        values = evaluate(wanted, leaves, operations(precise), builder.constant)
        first, second = len(trace.gates), len(trace.gates) + len(trace.carried)
        return values[:first], values[first:second], values[second:]


def _leaves(kind: str, values: Named) -> dict[Expression, Any]:
    return {Expression(kind, name=name): value for name, value in values.items()}


def operations(precise: bool) -> Mapping[str, Callable[..., Any]]:
    """Each operation of a trace on vectors; `precise` as in `activations`."""
    return {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": lambda a, b: a / b,
        "sigmoid": lambda x: sigmoid(x, precise),
        "tanh": lambda x: tanh(x, precise),
        "relu": lambda x: x.max(0.0),
        "exp": exp,
        "log": log,
        "maximum": lambda a, b: a.max(b),
        "minimum": lambda a, b: a.min(b),
        "less": lambda a, b: a.less(b),
        "less_equal": lambda a, b: a.less_equal(b),
        "where": _where,
    }


def _where(condition: Mask, yes: Vector, no: Vector) -> Vector:
    return condition.choose(yes, no)
