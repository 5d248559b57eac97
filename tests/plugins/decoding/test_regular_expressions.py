"""Texts that match a regular expression as a whole."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from charpipe.errors import UsageError
from charpipe.generation import Position, SampleConfig, generate, sample, sample_many
from charpipe.generation.scored import next_character
from charpipe.models import build_model
from charpipe.testing import check_plugin
from charpipe_byte.bytewise import ByteEncoding
from charpipe_decoding.expressions.constraint import ExpressionConstraint
from charpipe_lstm import charpipe_architectures
from letters import Letters

(LSTM,) = charpipe_architectures()
LABELS = "\nabcdefghij ABC0123456789.-"
PATTERNS = [
    r"[a-c]+",
    r"\d{4}-\d\d-\d\d",
    r"(?i:abc)\d*",
    r"(abc|abd)+e?",
    r"[^a]{3,5}",
    r"(?s).{10}",
    r"^(a|b)*?c$",
    r"((a|b|)+c)?d",
    r"(?x) a  b + # comment",
]


@pytest.fixture(scope="module")
def predictor():
    return build_model(LSTM, LSTM.config(hidden_size=9), {}, len(LABELS)).predictor()


def constrained(pattern, **chosen):
    return SampleConfig(
        **{"length": 20, "temperature": 3.0} | chosen, decoders={"regex": {"pattern": pattern}}
    )


@pytest.mark.parametrize("pattern", PATTERNS)
def test_texts_match_whatever_the_seed_and_the_length(predictor, pattern):
    for seed, length in [(1, 20), (2, 20), (3, 10)]:
        text = sample(predictor, Letters(LABELS), constrained(pattern, seed=seed, length=length))
        assert re.fullmatch(pattern, text), text
        assert len(text) <= length


@pytest.mark.parametrize("pattern", PATTERNS)
def test_texts_of_a_batch_match_and_equal_single_ones(predictor, pattern):
    wanted = constrained(pattern)
    texts = sample_many(predictor, Letters(LABELS), 4, wanted)
    assert all(re.fullmatch(pattern, text) for text in texts)
    assert texts[0] == sample(predictor, Letters(LABELS), wanted)


@pytest.mark.parametrize("pattern", [r"[äöü]{2}x", r".{5}", r"\w+é", r"[\u4e00-\u9fff]{3}", r"😀|🙂"])
def test_bytes_spell_whole_characters(pattern):
    predictor = build_model(LSTM, LSTM.config(hidden_size=5), {}, 256).predictor()
    for length in (9, 20):
        text = sample(predictor, ByteEncoding(), constrained(pattern, length=length))
        assert re.fullmatch(pattern, text), text
        assert len(text.encode()) <= length


def test_other_decoders_draw_from_what_is_allowed(predictor):
    """The constraint comes first, so that the k most probable are k allowed ones."""
    for chosen in ({"greedy": True}, {"top_k": 1}, {"top_p": 0.01}, {"min_p": 1.0}):
        text = sample(predictor, Letters(LABELS), constrained(r"\d{8}", **chosen))
        assert re.fullmatch(r"\d{8}", text)


def test_prompt_is_not_part_of_the_match(predictor):
    assert re.fullmatch(r"abc\d\d", sample(predictor, Letters(LABELS), constrained(r"\d\d", prompt="abc")))


def test_a_vocabulary_without_a_line_break_begins_with_the_match():
    predictor = build_model(LSTM, LSTM.config(hidden_size=5), {}, 3).predictor()
    assert sample(predictor, Letters("abc"), constrained("bbb")) == "bbb"
    assert sample_many(predictor, Letters("abc"), 2, constrained("bbb")) == ["bbb", "bbb"]


def test_a_text_goes_on_where_the_match_ended(predictor):
    """The position has read the text without the token that ended it."""
    position = Position()
    text = "".join(generate(predictor, Letters(LABELS), constrained("[a-j]{2,}", seed=5), position=position))
    after = "".join(
        generate(
            predictor, Letters(LABELS), SampleConfig(length=9, greedy=True, engine="plain"), position=position
        )
    )
    again = sample(
        predictor, Letters(LABELS), SampleConfig(length=9, greedy=True, engine="plain", prompt="\n" + text)
    )
    assert "\n" + text + after == again


def test_a_complete_match_ends_as_often_as_the_prediction_says():
    """After a, the model draws b, which goes on, or another token, which ends the text."""
    predictor = build_model(LSTM, LSTM.config(hidden_size=5), {}, 3).predictor()
    encoding = Letters("\nab")
    wanted = constrained("ab?", temperature=1.0, length=2)
    texts = sample_many(predictor, encoding, 2000, wanted)
    assert set(texts) == {"a", "ab"}
    expected = np.exp(next_character(predictor, encoding, "\na")[2])
    assert texts.count("ab") / len(texts) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "is not valid"),
        ("[a", "is not valid"),
        ("a**", "is not valid"),
        ("a{99999999999}", "is not valid"),
        ("é", "no text over the model's vocabulary"),
        ("[x-z]+", "no text over the model's vocabulary"),
        (r"\bab", "cannot guide a text"),
        (r"(a)\1", "cannot guide a text"),
        ("(?=a)a", "cannot guide a text"),
        ("(?!)", "cannot guide a text"),
        ("a(?<!b)", "cannot guide a text"),
        ("(?>a)b", "cannot guide a text"),
        ("a++", "cannot guide a text"),
        ("((a{100}){100}){100}", "too large"),
        ("a{21}", "the shortest text that the decoders allow has 21 tokens, but the length is 20"),
    ],
)
def test_bad_expressions_are_refused_before_anything_is_written(predictor, pattern, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        generate(predictor, Letters(LABELS), constrained(pattern))


EXPRESSIONS = some.recursive(
    some.sampled_from(["a", "b", "[ab]", "[^a]", ".", "", "c"]),
    lambda inner: (
        some.tuples(inner, inner).map("".join)
        | some.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format)
        | some.tuples(inner, some.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?"])).map(
            "(?:{0[0]}){0[1]}".format
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150)
@given(EXPRESSIONS, some.integers(0, 2**32))
def test_allowed_texts_are_those_that_match(pattern, seed):
    """Draws of allowed tokens end in a match, and no token that could lead to a match is left out."""
    encoding, draws = Letters("abc"), np.random.default_rng(seed)
    constraint = ExpressionConstraint(pattern, encoding)
    place, text = constraint.start, ""
    for remaining in range(constraint.shortest + 4, 0, -1):
        assert constraint.complete(place) == bool(re.fullmatch(pattern, text))
        allowed = constraint.allowed(place, remaining)
        for token in range(3):
            if re.fullmatch(pattern, text + "abc"[token]):
                assert allowed[token]
        if not allowed.any():
            break
        token = int(draws.choice(np.flatnonzero(allowed)))
        place, text = constraint.after(place, token), text + "abc"[token]
    assert re.fullmatch(pattern, text)


def test_the_conformance_kit_accepts_it():
    check_plugin("decoder", "regex")
