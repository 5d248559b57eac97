"""A page whose units tell signals more or less plainly, for the tests of its chips in the browser."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from charpipe.inspection import SIGNALS, Finding, Group, Reading, Scored, Search, Unit
from charpipe.inspection.page import page
from charpipe.inspection.pieces import Piece
from charpipe.inspection.signals import measure

KEYS = [signal.key for signal in SIGNALS]
TEXT = 'He says "good morning" now and then goes home.\n' * 40
PLAIN, FALLING, FAINT, COUNTER, ABSENT = range(5)
"""The units: plain inside quotes, falling at a capital word, hardly moving at a word's start, a slow counter without
bounds, and one whose signal is not in the text."""
SIGNAL = {
    PLAIN: "double_quotes",
    FALLING: "capital_word",
    FAINT: "word_start",
    COUNTER: "position",
    ABSENT: "square_brackets",
}
SIGN: Mapping[int, int] = {PLAIN: 1, FALLING: -1, FAINT: 1, COUNTER: 1, ABSENT: 1}


def is_on(unit: int, text: str = TEXT) -> np.ndarray:
    """Where the unit's signal is on; one that counts, where it is above its median."""
    place = KEYS.index(SIGNAL[unit])
    values = measure(text)[:, place]
    return values > (np.median(values) if SIGNALS[place].graded else 0)


def reading(text: str = TEXT) -> Reading:
    """The text as a model with these five units read it, its state beyond 1."""
    length = len(text)
    units = np.zeros((length, 5), np.float32)
    units[:, PLAIN] = np.where(is_on(PLAIN, text), 3.0, -3.0)
    units[:, FALLING] = np.where(is_on(FALLING, text), -2.0, 0.5)
    units[:, FAINT] = np.where(is_on(FAINT, text), 0.02, 0.0)
    units[:, COUNTER] = np.arange(length) / 20
    units[:, ABSENT] = 0.1
    chances = np.tile(np.array([0.5, 0.2], np.float32), (length, 1))
    return Reading(
        [Piece(character, place, place) for place, character in enumerate(text)],
        np.zeros(length, np.int64),
        (Group("cell", 0, 5, 0),),
        units,
        np.tile(np.arange(2), (length, 1)),
        chances,
        np.array([np.nan, *np.full(length - 1, 2.0)], np.float32),
    )


def search() -> Search:
    """A finding for each unit, the best score where the colours say least."""
    found = []
    for place, unit in enumerate((ABSENT, FAINT, COUNTER, FALLING, PLAIN)):
        score = 0.99 - place / 100
        best = Scored(Unit("cell", 0, unit), SIGN[unit], score, score)
        other = Scored(Unit("cell", 0, COUNTER), 1, 0.3, 0.2)
        signal = SIGNALS[KEYS.index(SIGNAL[unit])]
        found.append(
            Finding(signal, "found", (50, 50), (0.1, 0.1), best, 0.1, 0.1, 0.9, 0.1, (other,)),
        )
    return Search(tuple(found), 5000, 5000, 5, 2)


def make(text: str = TEXT) -> str:
    """The page's HTML."""
    return page(
        reading(text),
        ["a", "b"],
        search(),
        run="run",
        model="lstm 1x5",
        source="a text",
        searched="two texts",
    )
