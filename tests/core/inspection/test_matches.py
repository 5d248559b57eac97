"""Passages with the same pattern of units are found wherever they stand in a corpus."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charpipe.errors import UsageError
from charpipe.inspection import read
from charpipe.inspection.matches import SEGMENT, find
from charpipe.inspection.packing import scaling
from charpipe.inspection.patterns import Pattern, levels, pattern_of
from letters import Letters

ALPHABET = '.abc"'
QUOTE = ALPHABET.index('"')


class Quoting:
    """Unit 0 is 1 between quotes, unit 1 falls to -1 at a b, unit 2 is always 0.9; float32 state [1, B, 3]."""

    vocabulary_size = len(ALPHABET)

    def initial_state(self, batch_size):
        return {"trace": torch.zeros(1, batch_size, 3)}

    def step(self, ids, state):
        after = torch.zeros(1, len(ids), 3)
        after[0, :, 0] = torch.where(ids == QUOTE, 1 - state["trace"][0, :, 0], state["trace"][0, :, 0])
        after[0, :, 1] = -(ids == ALPHABET.index("b")).float()
        after[0, :, 2] = 0.9
        return torch.zeros(len(ids), self.vocabulary_size), {"trace": after}


def tokens(text: str) -> np.ndarray:
    return Letters(ALPHABET).encode(text)


def chosen(text: str, first: int, last: int, threshold: float = 0.5, columns=()):
    reading = read(Quoting(), Letters(ALPHABET), text)
    usual = levels(reading.units, scaling(reading.units, reading.groups), threshold)
    found = pattern_of(usual.directions(reading.units), first, last, last - first + 1, columns)
    return found, usual


TEXT = '..a.c.."abc"..a.cc.b.a.'


def test_pattern_has_units_on_throughout_and_at_the_edges() -> None:
    inside, _ = chosen(TEXT, 7, 10)
    assert inside == Pattern((0,), (1,), 4, (False,), (False,))
    part, _ = chosen(TEXT, 8, 9)
    assert part == Pattern((0,), (1,), 2, (True,), (True,))
    at_b, _ = chosen(TEXT, 9, 9)
    assert at_b == Pattern((0, 1), (1, -1), 1, (True, False), (True, False))
    assert chosen(TEXT, 9, 9, columns=[1])[0] == Pattern((1,), (-1,), 1, (False,), (False,))
    assert chosen(TEXT, 0, 3)[0] is None  # a unit that always is large is not on


def test_threshold_is_a_share_above_zero() -> None:
    for wrong in (0.0, -1.0, 1.1, float("nan")):
        with pytest.raises(UsageError, match="not above 0 and at most 1"):
            chosen(TEXT, 7, 10, wrong)


def corpus(length: int, places: dict[int, str]) -> np.ndarray:
    text = list("." * length)
    for place, part in places.items():
        text[place : place + len(part)] = part
    return tokens("".join(text))


def test_passages_of_the_same_length_come_first_wherever_they_stand() -> None:
    """At the beginning, across the boundary of two segments, at the end; longer and shorter ones come after."""
    wanted, usual = chosen(TEXT, 7, 10)
    places = {1: '"abc"', SEGMENT - 2: '"cca"', 3 * SEGMENT + 90: '"abc"', 5 * SEGMENT - 7: '"aba"'}
    text = corpus(5 * SEGMENT, places | {700: '"abcabc"', 900: '"a"'})
    found, searched = find(
        Quoting(), {"val": tokens(TEXT), "train": text}, wanted, usual, 8, None, ("val", 7)
    )
    assert searched == len(text) + len(TEXT)
    exact = [one.place for one in found if one.score == 1]
    assert sorted(exact) == sorted(places) and all(one.split == "train" for one in found)
    assert [one.place for one in found[:4]] == exact
    longer, shorter = found[4], found[-1]
    assert 700 <= longer.place <= 703 and longer.through == 1 and longer.score < 1
    assert all(one.through == 1 for one in found) and shorter.score < 1
    assert not any(900 - 4 <= one.place <= 902 for one in found)


def test_own_passage_is_left_out() -> None:
    wanted, usual = chosen(TEXT, 7, 10)
    with_own, _ = find(Quoting(), {"val": tokens(TEXT)}, wanted, usual, 5)
    assert [one.place for one in with_own] == [7]
    assert find(Quoting(), {"val": tokens(TEXT)}, wanted, usual, 5, itself=("val", 7))[0] == []


def test_more_units_on_throughout_come_before_a_better_score() -> None:
    wanted, usual = chosen(TEXT, 9, 9)
    found, _ = find(Quoting(), {"train": tokens('..a.b..c."cbc"..a.')}, wanted, usual, 3)
    assert (found[0].through, found[0].place) == (2, 11)
    assert {one.through for one in found[1:]} == {1}


def test_passages_do_not_overlap() -> None:
    wanted, usual = chosen('..."aaaa"..', 5, 6)
    text = corpus(400, {10: '"' + "a" * 300 + '"'})
    found, _ = find(Quoting(), {"train": text}, wanted, usual, 20)
    places = sorted(one.place for one in found)
    assert len(places) == 20 and min(np.diff(places)) >= wanted.length


def test_large_corpus_is_searched_in_evenly_spaced_segments() -> None:
    wanted, usual = chosen(TEXT, 7, 10)
    text = corpus(20 * SEGMENT, dict.fromkeys(range(100, 20 * SEGMENT, SEGMENT), '"abc"'))
    found, searched = find(Quoting(), {"train": text}, wanted, usual, 50, limit=5 * SEGMENT)
    assert searched == 5 * SEGMENT and len([one for one in found if one.score == 1]) == 5
    assert found[0].place < SEGMENT and max(one.place for one in found) > 19 * SEGMENT
    everything, searched = find(Quoting(), {"train": text}, wanted, usual, 50, limit=None)
    assert searched == len(text) and len([one for one in everything if one.score == 1]) == 20


@pytest.mark.parametrize("length", [0, 1, 2, 5])
def test_text_shorter_than_the_passage_has_none(length: int) -> None:
    wanted, usual = chosen(TEXT, 7, 10)
    assert find(Quoting(), {"train": tokens("a" * length)}, wanted, usual, 5)[0] == []
