"""The logarithm of vectors, and what the exponential functions of training and sampling have in common."""

from __future__ import annotations

import math

from charpipe.kernels.jit.values import Vector

MAX_EXPONENT = 87.0
"""exp(x) of |x| up to 87 is a normal float32."""
ROUND_TO_INT = 1.5 * 2**23
"""A small number plus this has the nearest integer in its lowest bits: beyond 2**23 a float32 has no fraction."""
LOG2_HIGH = 0.693359375
LOG2_LOW = math.log(2) - LOG2_HIGH
"""log(2) as the sum of two numbers, the first with few bits, so that its multiples are exact."""
SMALLEST_NORMAL = 2.0**-126
ATANH = [1 / k for k in (1, 3, 5, 7, 9)]
"""The Taylor series of atanh(s) / s in s**2."""


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
    not_positive = x.less(0.0).choose(x.full_like(math.nan), x.full_like(-math.inf))
    return x.less_equal(0.0).choose(not_positive, found)
