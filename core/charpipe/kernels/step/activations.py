"""exp, sigmoid and tanh of float32 numbers, compiled by numba; the fast versions are those of the int8 step."""

from __future__ import annotations

from typing import Any

import numpy as np

from charpipe.kernels.jit.numba_functions import compiled

f32 = np.float32


@compiled
def exp(x: Any) -> Any:
    """e**x within two units in the last place: 2**n times a Taylor series of the rest (Cody, Waite 1980)."""
    x = f32(88) if x > f32(88) else x
    x = f32(-87) if x < f32(-87) else x
    n = np.floor(x * f32(1.4426950408889634) + f32(0.5))
    # log(2) as the sum of two numbers, so that n * log(2) is subtracted without rounding
    rest = (x - n * f32(0.693359375)) + n * f32(2.12194440e-4)
    series = f32(1 / 720) + rest * f32(1 / 5040)
    series = f32(1 / 24) + rest * (f32(1 / 120) + rest * series)
    series = f32(1) + rest * (f32(1) + rest * (f32(0.5) + rest * (f32(1 / 6) + rest * series)))
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23))  # the bits of 2**n
    return series * power.view(f32)


@compiled
def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x)."""
    return f32(1) / (f32(1) + exp(-x))


@compiled
def tanh(x: Any) -> Any:
    """The hyperbolic tangent with an absolute error of 2e-7."""
    return f32(1) - f32(2) / (f32(1) + exp(x + x))


@compiled
def fast_tanh(x: Any) -> Any:
    """The hyperbolic tangent with an error of 2e-4, far below an int8 step (Lambert's continued fraction, 1770)."""
    x = f32(4.9) if x > f32(4.9) else x
    x = f32(-4.9) if x < f32(-4.9) else x
    s = x * x
    numerator = x * (f32(135135) + s * (f32(17325) + s * (f32(378) + s)))
    return numerator / (f32(135135) + s * (f32(62370) + s * (f32(3150) + s * f32(28))))


@compiled
def fast_sigmoid(x: Any) -> Any:
    """sigmoid(x) = (1 + tanh(x / 2)) / 2, by `fast_tanh`."""
    return f32(0.5) + f32(0.5) * fast_tanh(f32(0.5) * x)
