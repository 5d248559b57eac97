"""Code, prose and verse are told apart, and each is held against its own signals."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.errors import UsageError
from charpipe.inspection import search as searching
from charpipe.inspection.signals import SIGNALS
from charpipe.inspection.text_kinds import KEYS, has, kind_named, kind_of

C = "static int add(int a, int b)\n{\n\treturn a + b; /* both */\n}\n\nif (x[0] == 'y') {\n\tgo(x);\n}\n" * 20
PROSE = (
    "It was late in the evening when the travellers came to the inn, and nobody had been\n"
    "seen on the road since noon. “We are full,” said the host, who was not (he thought) a\n"
    "hard man; but they stayed. Later, all of them slept.\n\n"
) * 20
PLAY = (
    "FIRST SINGER:\nThe lamps are lit and low the river runs,\nAnd none will come to ask us what we owe.\n\n"
    * 20
)
MARKUP = (
    "<page><title>A river</title> It is a [[river]] of {{length|40}} km in the [[north]] of the land.</page>\n"
    * 20
)
NAMES = "Mara\nTobin\nElsabet\nIvo\n" * 50


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (C, "code"),
        (inspect.getsource(searching), "code"),
        (PROSE, "prose"),
        (PROSE.replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n"), "prose"),
        ("吾輩は猫である。名前はまだ無い。どこで生れたか頓と見当がつかぬ。" * 100, "prose"),
        (PLAY, "verse"),
        (MARKUP, "mixed"),
        (NAMES, "mixed"),
        ("", "mixed"),
        (" \n\n", "mixed"),
    ],
)
def test_the_kind_of_a_text(text: str, kind: str) -> None:
    assert kind_of(text) == kind


@given(st.text())
def test_any_text_has_a_kind(text: str) -> None:
    assert kind_of(text) in {*KEYS, "mixed"}


def test_each_kind_has_its_own_signals_and_mixed_all() -> None:
    known = {signal.key for signal in SIGNALS}
    for keys in KEYS.values():
        assert set(keys) < known and len(set(keys)) == len(keys)
    assert set().union(*KEYS.values()) == known and all(has("mixed", key) for key in known)
    assert has("code", "block_comment") and not has("prose", "block_comment")
    assert has("verse", "speaker") and not has("code", "speaker") and not has("prose", "speaker")


def test_a_kind_that_there_is_not_names_a_near_one() -> None:
    assert kind_named("verse") == "verse"
    with pytest.raises(UsageError, match="there is no kind of text 'vers'; did you mean 'verse'"):
        kind_named("vers")
