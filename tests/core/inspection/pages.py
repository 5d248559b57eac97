"""A small page with known units, for the tests of the page and of the browser."""

from __future__ import annotations

import numpy as np

from charpipe.inspection import (
    SIGNALS,
    Ablation,
    Ablations,
    Finding,
    Group,
    Reading,
    Rise,
    Scored,
    Search,
    SparseProbe,
    Unit,
)
from charpipe.inspection.page import page
from charpipe.inspection.pieces import Piece

HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 2'>"
TEXT = f'int a = "b";\t/* c */\r\n{HOSTILE}\ne\u0301a\u200d\u202eb שלום עולם 漢字 🙂\n{"long " * 200}\nend'
LABELS = ["a", "<b>", "</script>", "␣", "\\n", "c"]
UNITS = 5


def reading(text: str = TEXT, units: int = UNITS) -> Reading:
    """A reading whose unit 0 is 0.5 everywhere, unit 1 alternates between -1 and 1, and unit 3 counts up."""
    length = len(text)
    values = np.zeros((length, 2 * units), np.float32)
    if units:
        values[:, 0] = 0.5
        values[:, 1] = np.where(np.arange(length) % 2, -1, 1)
        values[:, units + 3] = np.arange(length)
    groups = (Group("hidden", 0, units, 0), Group("cell", 0, units, units)) if units else ()
    chances = np.tile(np.array([0.5, 0.2, 0.1, 0.05, 0.01], np.float32), (length, 1))
    return Reading(
        [Piece(character, place, place) for place, character in enumerate(text)],
        np.arange(length) % len(LABELS),
        groups,
        values,
        np.tile(np.arange(5), (length, 1)),
        chances,
        np.array([np.nan, np.inf, *np.linspace(0, 10, length - 2)], np.float32),
    )


def findings() -> Search:
    """Two findings, one of them too rare."""
    best = Scored(Unit("cell", 0, 3), -1, 0.9, 0.8)
    other = Scored(Unit("hidden", 0, 1), 1, 0.3, 0.2)
    probe = SparseProbe(((Unit("cell", 0, 3), -1.5), (Unit("hidden", 0, 1), 0.5)), 0.96, 0.94, 0.4)
    found = Finding(SIGNALS[0], "found", (12, 34), (0.1, 0.2), best, 0.3, 0.1, 0.95, 0.05, (other,), probe)
    unclear = Finding(SIGNALS[15], "not above the controls", (9, 9), (3.0, 4.0), other, 0.3, 0.1)
    rare = Finding(SIGNALS[9], "too rare", (0, 1), (0.0, 0.0))
    return Search((found, unclear, rare), 1000, 2000, 2 * UNITS, 2)


def ablations() -> Ablations:
    """Two units, of which one detects a signal."""
    rises = Rise(0.25, 0.01, 900), Rise(1.5, 0.1, 90), Rise(-0.01, 0.02, 810)
    quotes = Ablation(Unit("cell", 0, 3), -1.5, rises[0], SIGNALS[0], rises[1], rises[2])
    return Ablations((quotes, Ablation(Unit("hidden", 0, 1), 0.5, Rise(0.0, 0.0, 900))), 1.234, 900, 8, True)


def make(text: str = TEXT, units: int = UNITS, search: bool = True) -> str:
    """The page's HTML."""
    return page(
        reading(text, units),
        LABELS,
        findings() if search and units else None,
        ablations() if search and units else None,
        run="20261123-1041-<i>hello-lstm-7f3a",
        model="lstm 1x5",
        source="</title>& evil.c",
        searched="two texts",
        notices=["the first <1> is shown"],
    )
