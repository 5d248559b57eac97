"""The gallery that opens the page: the units that tell their signals most plainly, each over a short piece of text."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.inspection.packing import Packed
from charpipe.inspection.pieces import Piece

MOST = 6
"""Units that are shown."""
LENGTH = 200
"""Pieces of text shown of each: characters, most of the time."""

Array = NDArray[Any]


def gallery(
    chips: Sequence[Mapping[str, Any]], pieces: Sequence[Piece], packed: Packed
) -> list[dict[str, Any]]:
    """Up to MOST units, each once, in the order of the chips, those without an example left out. `pieces` are `(text,
    depth of the colour in percent, class)`; `first` is the place of the first of them in the whole text."""
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
        if len(shown) == MOST:
            break
    return shown


def stretched(values: Array, sign: int) -> Array:
    """A unit's values from -1 to 1: each side from its median to the farthest value, positive towards "on", as the
    script of the page does for one unit."""
    away = values.astype(np.float64) - np.sort(values)[len(values) // 2]
    low, high = max(1.0, float(-away.min())), max(1.0, float(away.max()))
    found: Array = sign * np.where(away < 0, away / low, away / high)
    return found


def is_on(runs: Sequence[Sequence[int]], length: int) -> Array:
    """Where a signal is on, given the `[first, after last]` of its pieces."""
    found = np.zeros(length, bool)
    for first, last in runs:
        found[first:last] = True
    return found


def plainest(colours: Array, on: Array, pieces: Sequence[Piece]) -> int:
    """Where LENGTH pieces begin in which the colours differ most between where the signal is on and where it is off.
    They begin a line where one begins near enough, and are within the text."""
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
    return min(last, int(np.flatnonzero(on)[0]))  # the only examples lie where no piece begins


def _side(value: float) -> str:
    return "pos" if value > 0 else "neg" if value < 0 else ""
