"""exp, log, sigmoid and tanh of the sampling step, made of vector arithmetic.

Sampling compares texts, so that these are exact to two units in the last place. The fast versions are those of the int8
step: their error of 2e-4 is far below a step of int8.
"""

from __future__ import annotations

import math

from charpipe.kernels.jit.elementary import LOG2_HIGH, LOG2_LOW, MAX_EXPONENT, ROUND_TO_INT, log
from charpipe.kernels.jit.values import Vector

__all__ = ["exp", "fast_sigmoid", "fast_tanh", "log", "sigmoid", "tanh"]

TAYLOR = [1 / math.factorial(k) for k in range(8)]
TANH_LIMIT = 4.9
"""Where the approximation of `fast_tanh` reaches 1."""


def exp(x: Vector) -> Vector:
    """e**x within two units in the last place: 2**n times a Taylor series of the rest (Cody, Waite 1980)."""
    x = x.clip(MAX_EXPONENT)
    shifted = x * math.log2(math.e) + ROUND_TO_INT
    n = shifted - ROUND_TO_INT
    rest = (x - n * LOG2_HIGH) - n * LOG2_LOW
    series = rest.full_like(TAYLOR[-1])
    for coefficient in reversed(TAYLOR[:-1]):
        series = series * rest + coefficient
    return series * shifted.exp2_of_int()


def sigmoid(x: Vector) -> Vector:
    """1 / (1 + e**-x)."""
    return 1.0 / (1.0 + exp(-x))


def tanh(x: Vector) -> Vector:
    """The hyperbolic tangent with an absolute error of 2e-7."""
    return 1.0 - 2.0 / (1.0 + exp(x + x))


def fast_tanh(x: Vector) -> Vector:
    """The hyperbolic tangent with an error of 2e-4 (Lambert's continued fraction, 1770)."""
    x = x.clip(TANH_LIMIT)
    s = x * x
    numerator = x * (135135.0 + s * (17325.0 + s * (378.0 + s)))
    return numerator / (135135.0 + s * (62370.0 + s * (3150.0 + s * 28.0)))


def fast_sigmoid(x: Vector) -> Vector:
    """sigmoid(x) = (1 + tanh(x / 2)) / 2, by `fast_tanh`."""
    return 0.5 + 0.5 * fast_tanh(0.5 * x)
