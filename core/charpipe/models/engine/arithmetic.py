"""Numbers for compiled kernels: bfloat16 as bit patterns, and a sigmoid and tanh that compilers turn into vectors.

A kernel takes arrays of float32 or of uint16, the upper half of a float32, which is what a bfloat16 is.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from charpipe.models.compiling import compiled

FLOAT, WORD, HALF = ir.FloatType(), ir.IntType(32), ir.IntType(16)
SWIFT = {"contract", "nnan", "ninf", "nsz", "arcp"}
"""What vector instructions need: numbers that are finite, whose minimum and maximum are plain comparisons."""
kernel: Any = partial(compiled, fastmath=SWIFT)
inlined: Any = partial(compiled, fastmath=SWIFT, inline="always")
ONE, TWO = np.float32(1), np.float32(2)
LARGEST = np.float32(87)
"""exp(87) and exp(-87) are the last that float32 holds well."""
LOG2E = np.float32(math.log2(math.e))
SHIFT = np.float32(3 << 22)
"""Added to a small number, it leaves the nearest integer in the lowest bits."""
C1, C2, C3, C4, C5, C6 = (np.float32(math.log(2) ** k / math.factorial(k)) for k in range(1, 7))
"""Taylor coefficients of 2**x; on [-1/2, 1/2] six of them are exact to 2e-7."""


@intrinsic  # type: ignore[untyped-decorator]
def widen(_context: Any, value: Any) -> Any:
    """float32 of a float32, or of the bits of a bfloat16."""

    def from_bits(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = builder.shl(builder.zext(arguments[0], WORD), ir.Constant(WORD, 16))
        return builder.bitcast(word, FLOAT)

    if value == types.uint16:
        return types.float32(value), from_bits
    return types.float32(types.float32), lambda _c, _b, _s, arguments: arguments[0]


@intrinsic  # type: ignore[untyped-decorator]
def narrow(_context: Any, value: Any, like: Any) -> Any:
    """A float32 as the array `like` keeps it: itself, or the bits of the nearest bfloat16, ties to even."""

    def to_bits(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = builder.bitcast(arguments[0], WORD)
        odd = builder.and_(builder.lshr(word, ir.Constant(WORD, 16)), ir.Constant(WORD, 1))
        rounded = builder.add(builder.add(word, ir.Constant(WORD, 0x7FFF)), odd)
        return builder.trunc(builder.lshr(rounded, ir.Constant(WORD, 16)), HALF)

    if like.dtype == types.uint16:
        return types.uint16(types.float32, like), to_bits
    return types.float32(types.float32, like), lambda _c, _b, _s, arguments: arguments[0]


@intrinsic  # type: ignore[untyped-decorator]
def power_of_two(_context: Any, shifted: Any) -> Any:
    """2**n of n + SHIFT."""

    def shift(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        exponent = builder.shl(builder.bitcast(arguments[0], WORD), ir.Constant(WORD, 23))
        return builder.bitcast(builder.add(exponent, ir.Constant(WORD, 0x3F800000)), FLOAT)

    return types.float32(shifted), shift


@inlined
def exp(x):  # type: ignore[no-untyped-def]
    """e**x, to 2e-7 of itself."""
    scaled = min(max(x, -LARGEST), LARGEST) * LOG2E
    shifted = scaled + SHIFT
    rest = scaled - (shifted - SHIFT)
    series = ONE + rest * (C1 + rest * (C2 + rest * (C3 + rest * (C4 + rest * (C5 + rest * C6)))))
    return series * power_of_two(shifted)


@inlined
def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + e**-x)."""
    return ONE / (ONE + exp(-x))


@inlined
def tanh(x):  # type: ignore[no-untyped-def]
    """The hyperbolic tangent, to 2e-7."""
    return TWO / (ONE + exp(-TWO * x)) - ONE
