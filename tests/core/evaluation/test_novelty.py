from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.evaluation.novelty import is_list, novelty, whole_lines

NAMES = [
    f"{a}{b}{c}"
    for a in ("ma", "lo", "ki", "se", "du")
    for b in ("ri", "no", "ta", "le", "")
    for c in "aeiouns"
]


def test_a_list_of_names_is_a_list():
    assert is_list("\n".join(NAMES) + "\n")
    assert is_list("\n".join(NAMES))  # cut anywhere


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "hello\n" * 500,
        "\n".join(NAMES[:50]),
        "\n\n".join(NAMES),
        "\n".join(f"    return {name}" for name in NAMES),
        "\n".join(f"{name} went to the river and saw a boat upon it, far away" for name in NAMES),
        "\n".join(f"{name} is not yet here" for name in NAMES),
    ],
    ids=["empty", "a word", "one line over again", "few", "paragraphs", "code", "prose", "verse"],
)
def test_other_texts_are_none(text):
    assert not is_list(text)


def test_what_the_corpus_lacks_is_novel_and_what_came_before_a_duplicate():
    found = novelty(["anna", "zorbel", "zorbel", "emma"], ["emma ", "anna"])
    assert found is not None
    assert (found.lines, found.novel, found.duplicate, found.examples) == (4, 0.5, 0.25, ("zorbel",))
    assert found.metrics()["sample/novel_share"] == 0.5


def test_the_cut_lines_at_both_ends_do_not_count():
    assert whole_lines(["ma\nanna\n\n emma \nzor", "solo", ""]) == ["anna", "emma"]


def test_nothing_written_has_no_novelty():
    assert novelty([], NAMES) is None


@given(st.lists(st.sampled_from([*NAMES, "qqq", "xxx"]), min_size=1))
def test_shares_are_shares_and_a_copy_is_not_novel(written):
    found = novelty(written, NAMES)
    assert found is not None and 0 <= found.novel <= 1 and 0 <= found.duplicate < 1
    assert novelty(written, written).novel == 0  # type: ignore[union-attr]
