"""What the signals say of exact small texts: one figure a character, the state of the text after reading it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.inspection import SIGNALS, measure

KEYS = [signal.key for signal in SIGNALS]


def told(text: str, key: str) -> str:
    """The signal's values, a digit a character."""
    return "".join(str(int(value)) for value in measure(text)[:, KEYS.index(key)])


@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        ("double_quotes", 'a "b" c', "0011000"),
        ("double_quotes", r'"\"x"y', "111100"),
        ("double_quotes", '"a\nb" "c', "11110011"),
        ("double_quotes", '"a\n\nb"c', "1100011"),
        ("double_quotes", "«a» “b” 「c」", "11001100110"),
        ("double_quotes", '/* " */ x', "000000000"),
        ("double_quotes", "'\"' x", "00000"),
        ("single_quotes", "it's 'a b' ok", "0000011110000"),
        ("single_quotes", "don't, can't", "000000000000"),
        ("single_quotes", "r'[a' b", "0111000"),
        ("single_quotes", "‘it’s’ x", "11111000"),
        ("triple_quotes", '"""a\n\n"b" """ c', "00" + "1" * 10 + "000"),
        ("block_comment", "a /* b */ c", "00011111000"),
        ("block_comment", "in */ out", "111100000"),
        ("block_comment", '"/*" x', "000000"),
        ("line_comment", "a // b\nc", "00011100"),
        ("line_comment", "http://a.b c", "000000000000"),
        ("hash_comment", "# a\nb # c", "111000111"),
        ("hash_comment", '#include "a"', "000000000000"),
        ("parentheses", "f(a(b))c)", "011111000"),
        ("parentheses", '"(" x', "00000"),
        ("square_brackets", "a[1]b", "01100"),
        ("condition", "if (a(b)) c", "00011111000"),
        ("condition", "while x:\n y", "00000110000"),
        ("condition", "life (a)", "00000000"),
        ("url", "see http://a.b, c", "00000000001111000"),
        ("word_start", "ab c_1", "100100"),
        ("word_end", "ab c_1", "010001"),
        ("brace_depth", "a{b{c}d}e", "011221100"),
        ("brace_depth", "a } b {", "1100001"),
        ("bracket_depth", "{([])}", "123210"),
        ("indentation", "  ab\n\tc", "1222088"),
        ("indentation", " \ta", "188"),
        ("position", "ab\ncd", "12012"),
        ("speaker", "x\nROMEO:\nAy: no", "001111110000000"),
        ("capital_word", "ab Cd É x", "000110100"),
        ("sentence_start", "Ab c. De? f", "11000011001"),
        ("in_word", "abc d ef", "01100001"),
        ("after_blank", "a\n\nbc\nd", "0001100"),
    ],
)
def test_a_signal_of_a_small_text(key: str, text: str, values: str) -> None:
    assert told(text, key) == values


def test_an_opening_bracket_that_stands_alone_is_not_open_for_ever() -> None:
    text = "a) b [ c" + " d" * 2000
    assert measure(text)[-1, KEYS.index("square_brackets")] == 0
    assert measure(text)[:, KEYS.index("parentheses")].max() == 0


def test_brackets_that_cross_lose_the_inner_one() -> None:
    assert told("f(a [b) c", "square_brackets") == "0" * 9
    assert told("f(a [b) c", "parentheses") == "011111000"


@given(st.text(alphabet="ab'\"/*#(){}[]\\ \n\t:“”", max_size=200))
def test_any_text_has_a_figure_for_every_character(text: str) -> None:
    measured = measure(text)
    assert measured.shape == (len(text), len(SIGNALS))
    assert np.isfinite(measured).all() and (measured >= 0).all()
    for column, signal in enumerate(SIGNALS):
        if not signal.graded:
            assert set(np.unique(measured[:, column])) <= {0.0, 1.0}


@pytest.mark.parametrize("text", ["/*" * 20_000, '"' * 20_001, "'" * 20_001, "(" * 20_000, "http://" * 5000])
def test_a_hostile_text_takes_no_long_time(text: str) -> None:
    assert measure(text).shape == (len(text), len(SIGNALS))
