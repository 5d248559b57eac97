"""The functions between two products, made of what registers do.

`exact`: to 4e-7, for float32. Otherwise to 1e-4, more than bfloat16 shows, in less time.
"""

from __future__ import annotations

import math

from charpipe.models.engine.kernels.code import Vector

LARGEST = 87.0
"""exp(87) and exp(-87) are the last that float32 holds well."""
SHIFT = 1.5 * 2**23
"""Added to a small number, it leaves the nearest whole number in the lowest bits."""
SERIES = [math.log(2) ** k / math.factorial(k) for k in range(7)]
"""Taylor coefficients of 2**x; on [-1/2, 1/2] they are exact to 2e-7."""
TANH_LIMIT = 4.97
"""Where the fraction below reaches 1."""


def exp(x: Vector) -> Vector:
    """e**x, to 5e-7 of itself near 0 and 1e-5 far out."""
    scaled = x.within(LARGEST) * math.log2(math.e)
    shifted = scaled + SHIFT
    rest = scaled - (shifted - SHIFT)
    series = rest.code.vector(SERIES[-1])
    for coefficient in reversed(SERIES[:-1]):
        series = series * rest + coefficient
    return series * shifted.power_of_two()


def tanh(x: Vector, exact: bool) -> Vector:
    """The hyperbolic tangent."""
    if exact:
        return 2.0 / (1.0 + exp(x * -2.0)) - 1.0
    x = x.within(TANH_LIMIT)
    square = x * x
    above = ((square + 378.0) * square + 17325.0) * square + 135135.0  # Lambert's continued fraction
    below = ((square * 28.0 + 3150.0) * square + 62370.0) * square + 135135.0
    return x * (above / below)


def sigmoid(x: Vector, exact: bool) -> Vector:
    """1 / (1 + e**-x)."""
    if exact:
        return 1.0 / (1.0 + exp(-x))
    return tanh(x * 0.5, exact) * 0.5 + 0.5
