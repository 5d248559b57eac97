"""Characters as tokens: every text comes back, and what is unknown is named."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.plugin import CorpusError, UsageError
from charpipe_char import CharConfig
from charpipe_char.characters import extend, learn, load


@given(st.text(min_size=1))
def test_a_whole_vocabulary_has_no_nibbles_and_round_trips(text: str) -> None:
    vocabulary = learn(Counter(text), CharConfig())
    encoding = load(vocabulary)
    assert vocabulary["nibbles"] is False
    assert encoding.size == len(set(text)) == len(encoding.labels)
    tokens = encoding.encode(text)
    assert len(tokens) == len(text) == encoding.count_tokens(len(text), 0)
    assert encoding.decoder().decode(tokens, final=True) == text


@given(st.text(min_size=1), st.text(), st.integers(1, 3), st.one_of(st.none(), st.integers(17, 30)))
def test_with_nibbles_every_text_round_trips(
    text: str, other: str, min_count: int, max_size: int | None
) -> None:
    vocabulary = learn({**Counter(text), "\0": 0}, CharConfig(min_count=min_count, max_size=max_size))
    encoding = load(vocabulary)
    assert vocabulary["nibbles"]
    assert max_size is None or encoding.size <= max_size
    decoder = encoding.decoder()
    pieces = [decoder.decode([token]) for token in encoding.encode(text + other)]
    assert "".join(pieces) + decoder.decode([], final=True) == text + other


def test_the_rarest_are_left_out() -> None:
    counts = {chr(ord("A") + at): 100 - at for at in range(30)}
    assert learn(counts, CharConfig(max_size=30))["characters"] == "".join(counts)
    learnt = learn(counts, CharConfig(max_size=20))
    assert learnt == {"characters": "ABCD", "nibbles": True}
    assert learn(counts, CharConfig(min_count=98))["characters"] == "ABC"


@pytest.mark.parametrize(
    ("size", "dtype"), [(4, "uint8"), (256, "uint8"), (257, "uint16"), (70_000, "uint32")]
)
def test_the_smallest_type_that_holds_every_token(size: int, dtype: str) -> None:
    characters = "".join(chr(at) for at in range(32, 32 + 80_000) if not 0xD800 <= at < 0xE000)[:size]
    encoding = load({"characters": characters, "nibbles": False})
    tokens = encoding.encode(characters)
    assert tokens.dtype == dtype
    assert (tokens == np.arange(size)).all()
    assert encoding.encode(characters[:4]).dtype == dtype


@pytest.mark.parametrize("text", ["abé", "ab\n", "a💡", "a\ud800"])
def test_an_unknown_character_is_named(text: str) -> None:
    encoding = load({"characters": "abc", "nibbles": False})
    with pytest.raises(UsageError, match=rf"U\+{ord(text[-1]):04X}"):
        encoding.encode(text)


def test_nonsense_nibbles_become_replacement_characters() -> None:
    encoding = load({"characters": "a", "nibbles": True})
    assert encoding.labels[:3] == ["a", "<0>", "<1>"]
    # a lone high nibble; a byte that starts a character and is not followed; then a good one
    assert encoding.decoder().decode([1 + 12, 0, 1 + 14, 1 + 2, 0], final=True) == "\ufffda\ufffda"


def test_half_a_character_is_refused_with_nibbles_too() -> None:
    with pytest.raises(UsageError, match=r"U\+D800"):
        load({"characters": "a", "nibbles": True}).encode("é\ud800")


@pytest.mark.parametrize(
    "vocabulary",
    [
        {},
        {"characters": 3},
        {"characters": "aa"},
        {"characters": ""},
        {"characters": "\ud800"},
    ],
)
def test_vocabularies_that_are_not(vocabulary: dict[str, object]) -> None:
    with pytest.raises(CorpusError):
        load(vocabulary)


def test_labels_can_be_printed() -> None:
    assert load({"characters": "\n !é", "nibbles": False}).labels == ["\\n", "␣", "!", "é"]


@given(st.text(min_size=1), st.lists(st.text(), min_size=1, max_size=3))
def test_extending_keeps_every_number_and_spells_the_new_text(text: str, later: list[str]) -> None:
    vocabulary = learn(Counter(text), CharConfig())
    before = load(vocabulary)
    for new in later:
        vocabulary = extend(vocabulary, Counter(new), CharConfig())
    after = load(vocabulary)
    assert after.labels[: before.size] == before.labels
    assert (after.encode(text) == before.encode(text)).all()
    everything = text + "".join(later)
    assert after.size == len(set(everything))
    assert after.decoder().decode(after.encode(everything), final=True) == everything


def test_an_ascii_character_whose_number_needs_two_bytes() -> None:
    many = "".join(chr(0x400 + at) for at in range(300))
    vocabulary = extend(learn(Counter(many + "ab"), CharConfig()), Counter("abc"), CharConfig())
    encoding = load(vocabulary)
    assert encoding.encode("abc").tolist() == [0, 1, 302]
    assert encoding.encode("ab").tolist() == [0, 1]


def test_nibbles_spell_what_is_new_and_a_bound_is_kept() -> None:
    nibbles = learn({"a": 5, "b": 1}, CharConfig(min_count=2))
    assert extend(nibbles, {"a": 5, "z": 9}, CharConfig(min_count=2)) == nibbles
    whole = learn(Counter("abc"), CharConfig())
    with pytest.raises(UsageError, match="more than its max_size of 17"):
        extend(whole, Counter("defghijklmnopqrstuvwxyz"), CharConfig(max_size=17))
