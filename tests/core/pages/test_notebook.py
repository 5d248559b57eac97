"""What notebooks are given is escaped and short, whatever it is made of."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from charpipe.pages.notebook import MAX_HTML, block, coloured, escaped, shortened, table, visible

ANY = st.text() | st.sampled_from(
    ["<script>alert(1)</script>", "</pre>", "&lt;", "'\"", "\u202e", "\x1b[31m", "x" * 9000]
)


class _Read(HTMLParser):
    """The elements and the text of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@given(ANY, st.lists(st.tuples(ANY, ANY, ANY), max_size=40))
def test_a_table_is_whole_and_short(title: str, rows: list[tuple[str, str, str]]) -> None:
    read = _Read(shown := table((title, "b", "c"), rows))
    assert not read.open and read.tags <= {"table", "tr", "th", "td", "p"}
    assert len(shown) < 4 * MAX_HTML  # of the same cells without markup
    assert (f"and {len(rows) - 20} more" in shown) == (len(rows) > 20)


@given(st.lists(st.tuples(ANY, st.floats(0, 1)), max_size=60))
def test_coloured_text_is_whole_and_short(pieces: list[tuple[str, float]]) -> None:
    read = _Read(shown := coloured(pieces))
    assert not read.open and read.tags <= {"style", "pre", "i"}
    assert len(shown) <= MAX_HTML
    if "…" not in shown:
        text = "".join(text for text, _ in pieces)
        assert visible(text) in read.text


@given(ANY)
def test_text_cannot_become_markup(text: str) -> None:
    for shown, most in ((escaped(text), 200), (block(text), 1000)):
        inner = re.sub(r"^<pre[^>]*>|</pre>$", "", shown)
        assert "<" not in inner
        assert html.unescape(inner) == visible(shortened(text, most))


def test_marks_that_turn_text_around_are_named_and_letters_stay() -> None:
    assert visible("a\u202eb\x07\n") == "a‹U+202E›b‹U+0007›\n"
    assert visible("न\u200dम") == "न\u200dम"
