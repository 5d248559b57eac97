"""exp, tanh and sigmoid of the training kernels, compared with numpy; NaN and infinity."""

import numpy as np
import pytest

from charpipe.kernels.jit.processor import this_processor

if this_processor() is None:
    pytest.skip("kernels need AVX2 or AVX-512", allow_module_level=True)

from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.compiler import compile_kernel
from charpipe.kernels.jit.values import WORD
from charpipe.kernels.train.codegen import activations


class Apply:
    """The kernel `apply(registers, values, out)`."""

    ARGUMENTS = 3

    def __init__(self, processor, name, precise):
        self.builder = KernelBuilder(processor, self.ARGUMENTS)
        function = getattr(activations, name)
        self.function = function if name == "exp" else lambda x: function(x, precise)

    def llvm_ir(self):
        builder, (count, values, out) = self.builder, self.builder.arguments
        values, out, register = builder.pointer(values), builder.pointer(out), builder.width * WORD

        def one(i):
            builder.store(out + i * register, self.function(builder.load(values + i * register)))

        builder.loop(count, one)
        return builder.finish()


def applied(name, values, precise=True):
    out, here = np.empty_like(values), this_processor()
    kernel = compile_kernel(here, Apply, name, precise)
    kernel(len(values) // here.width, values.ctypes.data, out.ctypes.data)
    return out


EXPECTED = {"exp": np.exp, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}


@pytest.mark.parametrize(("name", "precise", "near"), [("tanh", True, 4e-7), ("tanh", False, 2e-4)])
@pytest.mark.parametrize("reach", [1e-3, 1.0, 30.0])
def test_tanh(name, precise, near, reach):
    values = np.linspace(-reach, reach, 4096, dtype=np.float32)
    assert np.abs(applied(name, values, precise) - np.tanh(values.astype(np.float64))).max() < near


@pytest.mark.parametrize(("precise", "near"), [(True, 3e-7), (False, 1e-4)])
def test_sigmoid(precise, near):
    values = np.linspace(-40, 40, 4096, dtype=np.float32)
    assert (
        np.abs(applied("sigmoid", values, precise) - EXPECTED["sigmoid"](values.astype(np.float64))).max()
        < near
    )


@pytest.mark.parametrize(("reach", "near"), [(1, 5e-7), (80, 1e-5)])
def test_exp(reach, near):
    values = np.linspace(-reach, reach, 4096, dtype=np.float32)
    np.testing.assert_allclose(applied("exp", values), np.exp(values.astype(np.float64)), rtol=near)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("precise", [True, False])
def test_nan_stays_nan(name, precise):
    values = np.array([np.nan, 1, -1, 0] * 16, np.float32)
    assert np.isnan(applied(name, values, precise)).tolist() == np.isnan(values).tolist()


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
@pytest.mark.parametrize("precise", [True, False])
def test_limits_at_infinity(name, precise):
    values = np.array([1e30, -1e30, np.inf, -np.inf] * 16, np.float32)
    low = -1.0 if name == "tanh" else 0.0
    expected = np.array([1, low, 1, low] * 16)
    np.testing.assert_allclose(applied(name, values, precise), expected, atol=2e-4)
