"""Texts and names in Markdown come out as they went in, whatever they hold: read back with a Markdown parser."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from charpipe.reports.markdown import cell, code, fenced

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], include_characters="\n`|*_[]<>~\\&#")
)
LINE = TEXT.map(lambda text: " ".join(text.split())).filter(bool)


@given(TEXT)
def test_a_fenced_text_is_one_block_that_holds_it(text: str) -> None:
    (block,) = MarkdownIt().parse(fenced(text))
    assert (block.type, block.content.rstrip("\n")) == ("fence", text.rstrip("\n"))


@given(LINE)
def test_code_within_a_line_is_the_name_itself(name: str) -> None:
    _, inline, _ = MarkdownIt().parse(f"of {code(name)} only")
    (span,) = [one for one in inline.children or [] if one.type == "code_inline"]
    assert span.content == name


@given(LINE, LINE)
def test_cells_of_a_table_hold_the_names(one: str, other: str) -> None:
    source = f"| a | b |\n| --- | --- |\n| {cell(one)} | {cell(other)} |\n"
    tokens = MarkdownIt().enable("table").parse(source)
    cells = [token for token in tokens if token.type == "inline"][2:]
    shown = ["".join(part.content for part in token.children or []) for token in cells]
    assert shown == [one, other]
