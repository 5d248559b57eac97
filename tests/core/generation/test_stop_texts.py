"""Text is passed on up to the first of the texts to stop at, however the pieces are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from charpipe.config.settings.sampling import SampleConfig
from charpipe.generation.stop_words import StopTextFilter

ENDS = some.lists(some.text("abc", min_size=1, max_size=3), min_size=1, max_size=3)


@given(some.lists(some.text("abc", max_size=4)), ENDS)
def test_passes_on_what_is_before_the_first_end(pieces, ends):
    ending = StopTextFilter(ends)
    found = "".join(ending.pass_on(piece) for piece in pieces) + ending.pass_on("", last=True)
    text = "".join(pieces)
    places = [place for end in ends if (place := text.find(end)) >= 0]
    assert found == text[: min(places, default=len(text))]
    assert ending.reached == bool(places)


@given(some.lists(some.text("abc", max_size=4)), ENDS)
def test_nothing_is_passed_on_twice_or_too_early(pieces, ends):
    ending, passed, text = StopTextFilter(ends), "", ""
    for piece in pieces:
        passed, text = passed + ending.pass_on(piece), text + piece
        assert text.startswith(passed)
        assert not any(end in passed for end in ends)


def test_without_an_end_everything_passes():
    assert StopTextFilter(None).pass_on("abc") == "abc"


@pytest.mark.parametrize("stop", ["", ["a", ""], [3]])
def test_empty_stop_texts_are_refused(stop):
    with pytest.raises(ValueError, match="at least one character"):
        SampleConfig(stop=stop)
