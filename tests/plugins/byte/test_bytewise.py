"""Bytes as tokens: every text comes back, however its bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.plugin import Options, UsageError
from charpipe_byte.bytewise import learn, load


@given(st.text())
def test_round_trip(text: str) -> None:
    encoding = load(learn({}, Options()))
    tokens = encoding.encode(text)
    assert tokens.tolist() == list(text.encode())
    assert encoding.count_tokens(len(text), len(text.encode())) == len(tokens)
    decoder = encoding.decoder()
    assert "".join(decoder.decode([token]) for token in tokens) + decoder.decode([], final=True) == text


def test_nonsense_becomes_a_replacement_character() -> None:
    assert load({}).decoder().decode([0xE2, 0x82, 97], final=True) == "\ufffda"


def test_what_is_no_token_and_what_is_no_text() -> None:
    with pytest.raises(UsageError):
        load({}).decoder().decode([256])
    with pytest.raises(UsageError, match="surrogate"):
        load({}).encode("\ud800")
