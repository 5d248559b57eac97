"""Recurrent cells, each written once as its equations.

A `Cell` says which gates it has, what state it carries, and what one step computes. `trace_of` records the step as
expressions; `gradient_of` derives the backward step from them. PyTorch's form, the training kernels and the sampling
step all follow from the same trace. Nothing here imports torch, so that plugins can define cells and still be listed
quickly.
"""

from charpipe.cells.cell import BOTH, HIDDEN, INPUT, Cell, Feeds
from charpipe.cells.equations import equations
from charpipe.cells.errors import CellError, UncompilableError
from charpipe.cells.expression import Expression
from charpipe.cells.functions import exp, log, maximum, minimum, relu, sigmoid, tanh, where
from charpipe.cells.gradient import Gradient, gradient_of
from charpipe.cells.trace import Trace, trace_of

__all__ = [
    "BOTH",
    "HIDDEN",
    "INPUT",
    "Cell",
    "CellError",
    "Expression",
    "Feeds",
    "Gradient",
    "Trace",
    "UncompilableError",
    "equations",
    "exp",
    "gradient_of",
    "log",
    "maximum",
    "minimum",
    "relu",
    "sigmoid",
    "tanh",
    "trace_of",
    "where",
]
