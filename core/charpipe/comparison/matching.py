"""Match sizes: find the width at which an architecture has as many parameters as the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from charpipe.errors import UsageError

WIDEST = 65536


@dataclass(frozen=True)
class Matched:
    """A width, its number of parameters, and the difference from the wanted number."""

    size: int
    parameters: int
    residual: int


def match_parameters(wanted: int, count: Callable[[int], int]) -> Matched:
    """The width whose `count(width)` is nearest to `wanted`, by bisection: `count` must not decrease with width.

    Raises UsageError if even one unit has more than twice as many parameters.
    """
    low, high = 1, 1
    while count(high) < wanted and high < WIDEST:
        low, high = high, min(2 * high, WIDEST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < wanted else (low, middle)
    best = min((low, high), key=lambda size: abs(count(size) - wanted))
    found = count(best)
    if best == 1 and found > 2 * wanted:
        raise UsageError(
            f"one unit has {found:,} parameters, and {wanted:,} are to be matched; give larger sizes"
        )
    return Matched(best, found, found - wanted)
