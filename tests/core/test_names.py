"""What `dir` and `repr` show of charpipe in an interactive session."""

from __future__ import annotations

import numpy as np

import charpipe
from charpipe.inspection import Reading
from charpipe.inspection.pieces import Piece


def test_dir_lists_every_public_name() -> None:
    assert {"train", "load", "compare", "inspect", "report"} <= set(dir(charpipe))
    assert set(charpipe.__all__) <= set(dir(charpipe))


def test_the_repr_of_a_reading_is_short() -> None:
    length = 5000
    pieces = [Piece("a", n, n) for n in range(length)]
    many = np.zeros((length, 5), np.int64)
    reading = Reading(
        pieces,
        many[:, 0],
        (),
        np.zeros((length, 512), np.float32),
        many,
        many.astype(np.float32),
        np.ones(length, np.float32),
    )
    assert repr(reading) == "<Reading: 5,000 characters, 1.000 bits each, 512 units>"
