"""The gallery shows each of the plainest units once, over the piece of text where it is plainest."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.inspection.gallery import LENGTH, MAX_CARDS, gallery, plainest, stretched
from charpipe.inspection.packing import Packed
from charpipe.inspection.pieces import Piece


def packed(units: np.ndarray) -> Packed:
    data = base64.b64encode(np.ascontiguousarray(units, np.int8).tobytes()).decode()
    return Packed(("value",), (0.0,) * len(units), data)


def pieces(text: str) -> list[Piece]:
    return [Piece(character, place, place) for place, character in enumerate(text)]


def chip(column: int, runs: list[list[int]], sign: int = 1) -> dict[str, Any]:
    return {"best": {"column": column, "sign": sign}, "runs": runs}


TEXT = "a line of nineteen.\n" * 60


def test_no_more_than_six_each_once_and_none_without_an_example() -> None:
    units = np.tile(np.arange(len(TEXT)) % 100, (9, 1))
    chips = [chip(0, []), *(chip(n, [[400, 420]]) for n in (1, 2, 2, 3, 4, 5, 6, 7, 8))]
    shown = gallery(chips, pieces(TEXT), packed(units))
    assert [card["chip"]["best"]["column"] for card in shown] == [1, 2, 3, 4, 5, 6] and len(
        shown
    ) == MAX_CARDS
    for card in shown:
        assert len(card["pieces"]) == LENGTH
        assert "".join(piece for piece, *_ in card["pieces"]) == TEXT[card["first"] :][:LENGTH]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_piece_is_where_the_unit_tells_its_signal(sign: int) -> None:
    values = np.zeros(len(TEXT), np.int8)
    values[700:760] = sign * 100  # the signal is on at 100, too, where the unit is not
    (card,) = gallery([chip(0, [[100, 160], [700, 760]], sign)], pieces(TEXT), packed(values[None]))
    assert card["first"] <= 700 and card["first"] + LENGTH >= 760 and TEXT[card["first"] - 1] == "\n"
    sides = [side for _, _, side in card["pieces"]]
    assert sides[700 - card["first"]] == "pos" and sides.count("pos") == 60 and "neg" not in sides


def test_a_short_text_is_shown_whole() -> None:
    (card,) = gallery([chip(0, [[2, 4]])], pieces("abcdef"), packed(np.array([[0, 0, 9, 9, 0, 0]])))
    assert (card["first"], [piece for piece, *_ in card["pieces"]]) == (0, list("abcdef"))


def test_a_text_of_one_line_has_pieces_too() -> None:
    text = "word " * 400
    on = np.zeros(len(text), bool)
    on[1500:1520] = True
    first = plainest(on.astype(float), on, pieces(text))
    assert first <= 1500 and first + LENGTH >= 1520


@given(st.lists(st.integers(-127, 127), min_size=1), st.sampled_from([1, -1]))
def test_stretched_colours_lie_between_minus_one_and_one(values: list[int], sign: int) -> None:
    found = stretched(np.array(values, np.int8), sign)
    assert np.abs(found).max() <= 1 and len(found) == len(values)
    assert len(set(values)) == 1 or np.abs(found).max() == 1


@given(st.integers(2, 900), st.data())
def test_a_piece_lies_within_the_text_and_has_an_example(length: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first + 1, length))
    text = data.draw(st.sampled_from(["x" * length, ("ab\n" * length)[:length], "\n" * length]))
    on = np.zeros(length, bool)
    on[first:last] = True
    found = plainest(on.astype(float), on, pieces(text))
    assert 0 <= found <= max(0, length - LENGTH) and on[found : found + LENGTH].any()
