"""Characters that a vocabulary lacks are skipped and counted, and the rest of the text stays as it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.errors import UsageError
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry
from charpipe.text.coverage import fit

TOKENIZERS = Registry().all("tokenizer")
BYTES = resolve(TOKENIZERS["byte"].load)({})


def vocabulary(characters: str, nibbles: bool = False):
    return resolve(TOKENIZERS["char"].load)({"characters": characters, "nibbles": nibbles})


@given(st.text(), st.text(st.characters(codec="utf-8"), min_size=1))
def test_kept_and_skipped_characters_make_up_the_text(text: str, known: str) -> None:
    encoding = vocabulary("".join(sorted(set(known))))
    fitted = fit(text, encoding, "it")
    assert fitted.text == "".join(character for character in text if character in known)
    assert fitted.skipped.total() == len(text) - len(fitted.text)
    assert not fitted.skipped.keys() & set(known)
    assert len(fitted.notices) == bool(fitted.skipped)
    encoding.encode(fitted.text)


@given(st.text(st.characters(codec="utf-8")))
def test_bytes_and_nibbles_lack_nothing(text: str) -> None:
    for encoding in (BYTES, vocabulary("a", nibbles=True)):
        fitted = fit(text, encoding, "it", strict=True)
        assert (fitted.text, fitted.notices) == (text, ())


@given(st.text("éèüñ각ﬁ abc", min_size=1), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_a_difference_of_normal_form_alone_is_named(text: str, form) -> None:
    encoding = vocabulary("".join(sorted(set(unicodedata.normalize(form, text)))))
    for other in ("NFC", "NFD"):
        given_text = unicodedata.normalize(other, text)
        fitted = fit(given_text, encoding, "it")
        if fitted.skipped:
            assert "by Unicode normalisation alone: convert it to NF" in fitted.notices[0]


def test_strict_names_the_first_character_of_the_text() -> None:
    with pytest.raises(
        UsageError, match=r"^it: the vocabulary has no 'z' \(U\+007A\), nor 2 others; leave it out"
    ):
        fit("azyxz", vocabulary("a"), "it", strict=True)


def test_line_ends_that_the_vocabulary_has_otherwise_are_named() -> None:
    (notice,) = fit("to\nbe\n", vocabulary("\rbeto"), "it").notices
    assert (
        "'\\n' (U+000A) 2 times; it differs from the vocabulary by its line ends (LF) alone: write" in notice
    )
    (notice,) = fit("to\r\nbe\r\n", vocabulary("\nbeto"), "it").notices
    assert "by its line ends (CR) alone: type --set corpus.newline=lf" in notice
    (notice,) = fit("to\r\nbex", vocabulary("\nbeto"), "it").notices
    assert "by its line ends (CR): type" in notice
