"""The recurrent cell of a sampling step, compiled from its trace: from the gates' sums to the next state.

It is a function of its own, which the loops call by its address: they are compiled once for all cells.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from charpipe.cells import Expression, Trace
from charpipe.cells.traversal import evaluate, in_order
from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.compiler import compile_kernel
from charpipe.kernels.jit.numba_functions import compiled
from charpipe.kernels.jit.processor import Processor, this_processor
from charpipe.kernels.jit.values import WORD, Int, Pointer, Vector
from charpipe.kernels.step import activations
from charpipe.kernels.step.gate_order import gate_order


@cache
def cell_address(trace: Trace, *, fast: bool) -> int:
    """The address of a cell's compiled step, for `call_cell`; `fast` with the activations of the int8 step."""
    kernel = compile_kernel(_processor(), CellKernel, trace, fast)
    address = ctypes.cast(kernel, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return address


@cache
def _processor() -> Processor:
    """This machine's processor; one that the training kernels do not know with registers of four numbers."""
    known = this_processor()
    if known is not None:
        return known
    features = binding.get_host_cpu_features().flatten()
    return Processor(binding.get_host_cpu_name(), features, 4, 16, False)


class CellKernel:
    """One step of n units, a multiple of 16.

    Arguments: n; H; addresses of the gates' sums [G, n] in `gate_order`, of the hidden units before [n] and after [n],
    of the other states [S - 1, H], which are replaced, and of the vectors [., H]: of both the first n units of a row.
    """

    ARGUMENTS: ClassVar[int] = 7

    def __init__(self, processor: Processor, trace: Trace, fast: bool) -> None:
        self.processor, self.trace, self.fast = processor, trace, fast

    def llvm_ir(self) -> str:
        """Its LLVM IR."""
        builder, trace = KernelBuilder(self.processor, self.ARGUMENTS), self.trace
        units, size, *addresses = builder.arguments
        gates, before, hidden, carry, vectors = map(builder.pointer, addresses)
        unit, row = units * WORD, size * WORD
        places: dict[Expression, Pointer] = {
            **{
                Expression("gate", name=trace.gates[g]): gates + unit * i
                for i, g in enumerate(gate_order(trace))
            },
            **{Expression("state", name=name): carry + row * i for i, name in enumerate(trace.state[1:])},
            **{Expression("vector", name=name): vectors + row * i for i, name in enumerate(trace.vectors)},
            Expression("state", name=trace.state[0]): before,
        }
        used = [one for one in in_order(trace.results) if one in places]
        after = [hidden, *(carry + row * i for i in range(len(trace.state) - 1))]

        def step(i: Int) -> None:
            offset = i * (builder.width * WORD)
            leaves = {one: builder.load(places[one] + offset) for one in used}
            results = evaluate(trace.results, leaves, operations(self.fast), builder.constant)
            for place, value in zip(after, results, strict=True):
                builder.store(place + offset, value)

        builder.loop(units // builder.width, step)
        return builder.finish()


def operations(fast: bool) -> Mapping[str, Callable[..., Any]]:
    """Each operation of a trace on vectors."""
    return {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": lambda a, b: a / b,
        "sigmoid": activations.fast_sigmoid if fast else activations.sigmoid,
        "tanh": activations.fast_tanh if fast else activations.tanh,
        "relu": lambda x: x.max(0.0),
        "exp": activations.exp,
        "log": activations.log,
        "maximum": _maximum,
        "minimum": _minimum,
        "less": lambda a, b: a.less(b),
        "less_equal": lambda a, b: a.less_equal(b),
        "where": lambda condition, yes, no: condition.choose(yes, no),
    }


def _maximum(a: Vector, b: Vector) -> Vector:
    """NaN where one of both is NaN, as in PyTorch."""
    return b.less_equal(b).choose(a.max(b), b)


def _minimum(a: Vector, b: Vector) -> Vector:
    return b.less_equal(b).choose(a.min(b), b)


@intrinsic  # type: ignore[untyped-decorator]
def _call(context: Any, address: Any, units: Any, size: Any, start: Any, arrays: Any) -> Any:
    """Call the kernel at an address: of the last two of the five arrays from number `start` on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        integer = ir.IntType(64)
        addresses = []
        for i, kind in enumerate(signature.args[4].types):
            array = context.make_array(kind)(context, builder, builder.extract_value(values[4], i))
            addresses.append(builder.ptrtoint(array.data, integer))
        offset = builder.mul(values[3], ir.Constant(integer, WORD))
        addresses[3:] = [builder.add(each, offset) for each in addresses[3:]]
        function = ir.FunctionType(ir.VoidType(), [integer] * CellKernel.ARGUMENTS)
        builder.call(builder.inttoptr(values[0], function.as_pointer()), [values[1], values[2], *addresses])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64, arrays), generate


@compiled
def call_cell(
    address: Any, sums: Any, before: Any, hidden: Any, carry: Any, vectors: Any, start: Any
) -> None:
    """One step of the units that `before` and `hidden` [n] are: of `carry` [S - 1, H] and `vectors` [., H] those from
    `start` on. All arrays are contiguous float32."""
    _call(address, hidden.shape[0], carry.shape[1], start, (sums, before, hidden, carry, vectors))
