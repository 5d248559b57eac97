"""A barrier for threads inside compiled loops: it spins briefly, then sleeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from charpipe.kernels.jit.numba_functions import compiled

SPINS, SLEEP = 100_000, 50
"""Checks before a thread sleeps between checks, and microseconds of such a sleep. It does not yield: that would give
its whole time slice to a program that computes."""


@intrinsic  # type: ignore[untyped-decorator]
def _atomic_increment(context: Any, counter: Any) -> Any:
    """Add one to `counter` [1], visible to all threads."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        builder.atomic_rmw("add", array.data, ir.Constant(ir.IntType(64), 1), "seq_cst")
        return cgutils.get_null_value(ir.IntType(64))

    return types.int64(counter), generate


@intrinsic  # type: ignore[untyped-decorator]
def _atomic_load(context: Any, counter: Any) -> Any:
    """The value of `counter` [1], with all that other threads wrote before they incremented it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(array.data, "acquire", align=8)

    return types.int64(counter), generate


_sleep = types.ExternalFunction("usleep", types.int32(types.uint32))


@compiled
def wait(arrivals: Any, awaited: Any) -> int:
    """Arrive, and wait until `awaited` arrivals are counted. Returns how often the thread slept meanwhile."""
    _atomic_increment(arrivals)
    checks = 0
    while _atomic_load(arrivals) < awaited:
        checks += 1
        if checks > SPINS:
            _sleep(np.uint32(SLEEP))
    return max(0, checks - SPINS)
