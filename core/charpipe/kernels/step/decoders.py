"""Decoders inside the compiled sampling loop: the formulas of `charpipe.kernels.rows`, compiled for one row.

Each formula becomes a C function of its own, which the loop calls by its address: neither the loop nor this module
names a decoder, and a plugin's formula is compiled like charpipe's own.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.errors import NumbaError
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from charpipe.kernels import rows
from charpipe.kernels.jit.cache import cache_folder
from charpipe.kernels.jit.numba_functions import FLOATS, cached_in, compiled

SIGNATURE = types.void(types.CPointer(types.float64), types.int64, types.float64)
"""scores, their number V, the formula's number; the scores are replaced"""


def compile_formulas(
    formulas: Sequence[rows.RowFormula],
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Addresses and numbers of formulas for `apply_decoders`, or None where numba cannot compile one of them."""
    try:
        addresses = [_c_function(formula.function).address for formula in formulas]
    except NumbaError:
        return None
    numbers = [float(formula.number) for formula in formulas]
    return np.array(addresses, np.int64), np.array(numbers, np.float64)


@cache
def _c_function(formula: Callable[[Any, float], Any]) -> Any:
    """The formula as a C function of `SIGNATURE`."""
    options: dict[str, Any] = {"fastmath": FLOATS, "error_model": "numpy"}
    # numba keeps compiled code by a function's name and file: each formula gets a function of its own name
    scope = {**globals(), "formula": numba.njit(**options)(formula)}
    name = re.sub(r"\W", "_", f"{formula.__module__}_{formula.__qualname__}")
    function = FunctionType(_replace_scores.__code__, scope, name)
    function.__qualname__, function.__module__ = name, __name__
    with cached_in(_folder_of(formula)) as cached:
        return numba.cfunc(SIGNATURE, cache=cached, nopython=True, **options)(function)


def _replace_scores(pointer: Any, size: Any, number: Any) -> None:
    scores = numba.carray(pointer, (size,))
    scores[:] = formula(scores, number)  # type: ignore[name-defined]  # noqa: F821  # set in _c_function


def _folder_of(formula: Callable[..., Any]) -> Path | None:
    """The folder for a formula's compiled code, named after the content of its source file; None without a file."""
    folder = cache_folder()
    try:
        source = Path(inspect.getfile(formula)).read_bytes()
    except (OSError, TypeError):
        return None
    return folder / f"decoders-{hashlib.sha256(source).hexdigest()[:16]}" if folder is not None else None


@intrinsic  # type: ignore[untyped-decorator]
def _call(context: Any, address: Any, scores: Any, number: Any) -> Any:
    """Call the C function at an address with scores [V] and a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[1])(context, builder, arguments[1])
        size = builder.extract_value(array.shape, 0)
        kinds = [array.data.type, ir.IntType(64), ir.DoubleType()]
        function = builder.inttoptr(arguments[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        builder.call(function, [array.data, size, arguments[2]])
        return context.get_dummy_value()

    return types.void(address, scores, number), generate


@compiled
def apply_decoders(scores: Any, addresses: Any, numbers: Any) -> None:
    """Replace scores float64 [V] by what the decoders at `addresses` [n] make of them, one after the other."""
    for n in range(addresses.shape[0]):
        _call(addresses[n], scores, numbers[n])


# --- the functions of `rows` on one row, [V]: what is one value a row there is a scalar here ---


def _on_one_row(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the decorated function what numba compiles where a formula calls `function`."""

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(implementation)  # numba compares the parameters of both
        def choose(*_: Any) -> Callable[..., Any]:
            return implementation

        overload(function)(choose)
        return implementation

    return register


@_on_one_row(rows.row_max)
def _row_max(scores: Any) -> Any:
    return scores.max()


@_on_one_row(rows.kth_largest)
def _kth_largest(scores: Any, k: Any) -> Any:
    return np.sort(scores)[scores.shape[0] - k]


@_on_one_row(rows.sorted_descending)
def _sorted_descending(scores: Any) -> Any:
    return -np.sort(-scores)


@_on_one_row(rows.row_cumsum)
def _row_cumsum(values: Any) -> Any:
    return values.cumsum()


@_on_one_row(rows.row_count)
def _row_count(mask: Any) -> Any:
    return mask.sum()


@_on_one_row(rows.row_item)
def _row_item(values: Any, index: Any) -> Any:
    return values[index]


@_on_one_row(rows.keep_at_least)
def _keep_at_least(scores: Any, threshold: Any) -> Any:
    kept = scores.copy()
    for j in range(kept.shape[0]):
        if kept[j] < threshold:
            kept[j] = -np.inf
    return kept


@_on_one_row(rows.keep_first_max)
def _keep_first_max(scores: Any) -> Any:
    kept = np.full_like(scores, -np.inf)
    best = scores.argmax()
    kept[best] = scores[best]
    return kept
