"""exp, tanh and sigmoid, made of vector arithmetic.

`precise`: an error below 4e-7, for float32. Otherwise below 1e-4, finer than bfloat16's rounding, in less time.
"""

from __future__ import annotations

import math

from charpipe.kernels.jit.elementary import MAX_EXPONENT, ROUND_TO_INT, log
from charpipe.kernels.jit.values import Vector

__all__ = ["exp", "log", "sigmoid", "tanh"]

TAYLOR = [math.log(2) ** k / math.factorial(k) for k in range(7)]
"""The Taylor series of 2**x; on [-1/2, 1/2] its error is below 2e-7."""
TANH_LIMIT = 4.97
"""Where the approximation of `tanh` reaches 1."""


def exp(x: Vector) -> Vector:
    """e**x, with a relative error of 5e-7 near 0 and 1e-5 far out.

    e**x = 2**n * 2**r, where n is the integer nearest to x / log(2), and r the rest.
    """
    scaled = x.clip(MAX_EXPONENT) * math.log2(math.e)
    shifted = scaled + ROUND_TO_INT
    rest = scaled - (shifted - ROUND_TO_INT)
    series = rest.full_like(TAYLOR[-1])
    for coefficient in reversed(TAYLOR[:-1]):
        series = series * rest + coefficient
    return series * shifted.exp2_of_int()


def tanh(x: Vector, precise: bool) -> Vector:
    """The hyperbolic tangent: by `exp`, or as a quotient of polynomials (Lambert's continued fraction, 1770)."""
    if precise:
        return 2.0 / (1.0 + exp(x * -2.0)) - 1.0
    x = x.clip(TANH_LIMIT)
    square = x * x
    numerator = ((square + 378.0) * square + 17325.0) * square + 135135.0
    denominator = ((square * 28.0 + 3150.0) * square + 62370.0) * square + 135135.0
    return x * (numerator / denominator)


def sigmoid(x: Vector, precise: bool) -> Vector:
    """1 / (1 + e**-x), or by sigmoid(x) = (1 + tanh(x / 2)) / 2."""
    if precise:
        return 1.0 / (1.0 + exp(-x))
    return tanh(x * 0.5, precise) * 0.5 + 0.5
