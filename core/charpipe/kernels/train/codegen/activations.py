"""exp, tanh and sigmoid, made of vector arithmetic.

`precise`: an error below 4e-7, for float32. Otherwise below 1e-4, finer than bfloat16's rounding, in less time.
"""

from __future__ import annotations

import math

from charpipe.kernels.jit.values import Vector

MAX_EXPONENT = 87.0
"""exp(x) of |x| up to 87 is a normal float32."""
ROUND_TO_INT = 1.5 * 2**23
"""A small number plus this has the nearest integer in its lowest bits: beyond 2**23 a float32 has no fraction."""
TAYLOR = [math.log(2) ** k / math.factorial(k) for k in range(7)]
"""The Taylor series of 2**x; on [-1/2, 1/2] its error is below 2e-7."""
SMALLEST_NORMAL = 2.0**-126
ATANH = [1 / k for k in (1, 3, 5, 7, 9)]
"""The Taylor series of atanh(s) / s in s**2."""
LOG2_HIGH = 0.693359375
LOG2_LOW = math.log(2) - LOG2_HIGH
"""log(2) as the sum of two numbers, the first with few bits, so that its multiples are exact."""
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


def log(x: Vector) -> Vector:
    """The natural logarithm, with an error of a few units in the last place; -inf of 0, NaN of negative numbers.

    log(x) = n log(2) + log(m) with m in [sqrt(1/2), sqrt(2)), and log(m) = 2 atanh((m - 1) / (m + 1)), by its Taylor
    series.
    """
    tiny = x.less(SMALLEST_NORMAL)  # subnormal numbers are scaled up first
    m, n = tiny.choose(x * 2.0**24, x).exponent()
    n = tiny.choose(n - 24.0, n)
    large = x.full_like(math.sqrt(2)).less(m)
    m, n = large.choose(m * 0.5, m), large.choose(n + 1.0, n)
    s = (m - 1.0) / (m + 1.0)
    square = s * s
    series = x.full_like(ATANH[-1])
    for coefficient in reversed(ATANH[:-1]):
        series = series * square + coefficient
    found = n * LOG2_LOW + (s * series * 2.0) + n * LOG2_HIGH
    found = x.less(math.inf).choose(found, x)  # infinity and NaN stay
    found = x.less(0.0).choose(x.full_like(math.nan), found)
    return x.less_equal(0.0).choose(x.less(0.0).choose(found, x.full_like(-math.inf)), found)


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
