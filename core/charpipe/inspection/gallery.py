"""The gallery at the top of the page: the units that show their signals most clearly, each over a short piece of
text."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.inspection.packing import Packed
from charpipe.inspection.pieces import Piece

MAX_CARDS = 6
"""Maximum number of units shown."""
LENGTH = 200
"""Pieces of text shown per unit; a piece is usually a character."""

Array = NDArray[Any]


def gallery(
    chips: Sequence[Mapping[str, Any]], pieces: Sequence[Piece], packed: Packed
) -> list[dict[str, Any]]:
    """Up to MAX_CARDS units, each once, in the order of the chips, without those that have no example. `pieces` are
    `(text, depth of the color in percent, class)`; `first` is the position of the first piece in the whole text."""
    units = np.frombuffer(base64.b64decode(packed.data), np.int8).reshape(-1, len(pieces))
    shown: list[dict[str, Any]] = []
    seen: set[int] = set()
    for chip in chips:
        column = chip["best"]["column"]
        if column in seen or not chip["runs"]:
            continue
        seen.add(column)
        colours = stretched(units[column], chip["best"]["sign"])
        first = plainest(colours, is_on(chip["runs"], len(pieces)), pieces)
        coloured = zip(pieces[first : first + LENGTH], colours[first : first + LENGTH].tolist(), strict=True)
        shown.append(
            {
                "chip": chip,
                "first": first,
                "pieces": [(piece.text, round(100 * abs(value)), _side(value)) for piece, value in coloured],
            }
        )
        if len(shown) == MAX_CARDS:
            break
    return shown


def stretched(values: Array, sign: int) -> Array:
    """A unit's values scaled to -1 to 1: each side from the median to the farthest value, positive toward "on", as
    the page's script does for one unit."""
    away = values.astype(np.float64) - np.sort(values)[len(values) // 2]
    low, high = max(1.0, float(-away.min())), max(1.0, float(away.max()))
    found: Array = sign * np.where(away < 0, away / low, away / high)
    return found


def is_on(runs: Sequence[Sequence[int]], length: int) -> Array:
    """A mask of where a signal is on, from the `[first, after last]` of its spans."""
    found = np.zeros(length, bool)
    for first, last in runs:
        found[first:last] = True
    return found


def plainest(colours: Array, on: Array, pieces: Sequence[Piece]) -> int:
    """The start of the LENGTH pieces in which the colors differ most between where the signal is on and where it is
    off. Starts at a line if one starts nearby; always within the text."""
    last = max(0, len(pieces) - LENGTH)
    lines = [n + 1 for n, piece in enumerate(pieces[:last]) if piece.text.endswith("\n")]
    starts = [0, *(start for start in lines if start <= last)]
    if len(starts) < last // LENGTH:
        starts = [*range(0, last + 1, LENGTH // 4), last]

    def difference(start: int) -> float:
        here, there = colours[start : start + LENGTH], on[start : start + LENGTH]
        share = there.mean()
        if share in (0, 1):
            return -np.inf
        return float((here[there].mean() - here[~there].mean()) * np.sqrt(share * (1 - share)))

    found = max(starts, key=difference)
    if np.isfinite(difference(found)):
        return found
    return min(last, int(np.flatnonzero(on)[0]))  # the only examples are too late for any start


def _side(value: float) -> str:
    return "pos" if value > 0 else "neg" if value < 0 else ""
