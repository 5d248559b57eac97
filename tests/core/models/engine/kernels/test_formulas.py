"""The functions between two products, against numpy's, and what registers do with numbers that are none."""

import numpy as np
import pytest

from charpipe.models.processor import this_processor

if this_processor() is None:
    pytest.skip("kernels need AVX2 or AVX-512", allow_module_level=True)

from charpipe.models.engine.kernels import formulas
from charpipe.models.engine.kernels.code import WORD, Code
from charpipe.models.engine.kernels.machine_code import assembled


class Apply:
    """The kernel `apply`(registers, values, out)."""

    ARGUMENTS = 3

    def __init__(self, processor, name, exact):
        self.code = Code(processor, self.ARGUMENTS)
        function = getattr(formulas, name)
        self.function = function if name == "exp" else lambda x: function(x, exact)

    def text(self):
        code, (count, values, out) = self.code, self.code.arguments
        values, out, register = code.place(values), code.place(out), code.width * WORD

        def one(i):
            code.store(out + i * register, self.function(code.load(values + i * register)))

        code.loop(count, one)
        return code.finish()


def applied(name, values, exact=True):
    out, here = np.empty_like(values), this_processor()
    kernel = assembled(here, Apply, name, exact)
    kernel(len(values) // here.width, values.ctypes.data, out.ctypes.data)
    return out


EXPECTED = {"exp": np.exp, "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}


@pytest.mark.parametrize(("name", "exact", "near"), [("tanh", True, 4e-7), ("tanh", False, 2e-4)])
@pytest.mark.parametrize("reach", [1e-3, 1.0, 30.0])
def test_tanh(name, exact, near, reach):
    values = np.linspace(-reach, reach, 4096, dtype=np.float32)
    assert np.abs(applied(name, values, exact) - np.tanh(values.astype(np.float64))).max() < near


@pytest.mark.parametrize(("exact", "near"), [(True, 3e-7), (False, 1e-4)])
def test_sigmoid(exact, near):
    values = np.linspace(-40, 40, 4096, dtype=np.float32)
    assert (
        np.abs(applied("sigmoid", values, exact) - EXPECTED["sigmoid"](values.astype(np.float64))).max()
        < near
    )


@pytest.mark.parametrize(("reach", "near"), [(1, 5e-7), (80, 1e-5)])
def test_exp(reach, near):
    values = np.linspace(-reach, reach, 4096, dtype=np.float32)
    np.testing.assert_allclose(applied("exp", values), np.exp(values.astype(np.float64)), rtol=near)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("exact", [True, False])
def test_what_is_no_number_stays_none(name, exact):
    values = np.array([np.nan, 1, -1, 0] * 16, np.float32)
    assert np.isnan(applied(name, values, exact)).tolist() == np.isnan(values).tolist()


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
@pytest.mark.parametrize("exact", [True, False])
def test_far_out_they_end_where_they_should(name, exact):
    values = np.array([1e30, -1e30, np.inf, -np.inf] * 16, np.float32)
    low = -1.0 if name == "tanh" else 0.0
    expected = np.array([1, low, 1, low] * 16)
    np.testing.assert_allclose(applied(name, values, exact), expected, atol=2e-4)
