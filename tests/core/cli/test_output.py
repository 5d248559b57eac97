"""Tables: which columns a narrow terminal shows, and that piped output is whole."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from charpipe.cli.output import (
    GAP,
    NARROWEST,
    PROSE,
    cell,
    cell_len,
    fitting,
    print_table,
    table_lines,
    visible,
)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=8), st.integers(10, 200))
def test_columns_shown_fit_and_the_first_is_among_them(widths: list[int], width: int) -> None:
    columns = [str(n) for n in range(len(widths))]
    shown = fitting(columns, widths, width, drop=("2", "1"))
    assert shown[0] == 0
    least = [widths[n] if n == 0 or widths[n] <= PROSE else NARROWEST for n in shown]
    assert shown == [0] or sum(least) + GAP * (len(shown) - 1) <= width


def test_columns_named_first_are_dropped_first() -> None:
    assert fitting(["run", "step", "score"], [20, 10, 10], 36, drop=("step",)) == [0, 2]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2.5, "2.5000"),
        (0.0, "0.0000"),
        (2e-5, "2e-05"),
        (-0.00012345678, "-0.0001235"),
        (float("nan"), "nan"),
    ],
)
def test_small_numbers_keep_their_digits(value: float, shown: str) -> None:
    assert cell(value) == shown


def test_piped_table_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    row = ["n" * 150, "p" * 400]
    print_table(("run", "prose"), [row], "")
    out = capsys.readouterr().out
    assert all(cell in out for cell in row)


def test_rule_of_a_piped_table_is_as_wide_as_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("corpus", "size", "what it is"), [["a", 1, "p" * 400], ["longer", 22, "short"]], "")
    assert capsys.readouterr().out.splitlines() == [
        "corpus   size   what it is",
        "──────────────────────────",
        "a        1      " + "p" * 400,
        "longer   22     short",
    ]


@pytest.mark.parametrize("width", [30, 60, 80, 100])
def test_name_is_whole_at_every_width(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    name = "20261129-0217-tiny_shakespeare-lstm-31a4"
    columns = ("run", "state", "step", "val/loss", "val/bits_per_char", "test/bits_per_char")
    print_table(columns, [[name, "finished", 1000, 1.5, 2.1, 2.2]], "")
    lines = capsys.readouterr().out.splitlines()
    assert any(name in line for line in lines)


@given(st.text(st.characters(codec="utf-8")))
def test_visible_text_holds_no_control_character_but_newline_and_tab(text: str) -> None:
    for encoding in ("utf-8", "ascii", None, "no-such-encoding"):
        shown = visible(text, encoding)
        controls = {one for one in shown if unicodedata.category(one) == "Cc"}
        assert controls <= {"\n", "\t"}
    plain = "".join(one for one in text if unicodedata.category(one) != "Cc" or one in "\n\t")
    assert visible(plain) == plain


def test_control_characters_have_symbols() -> None:
    assert visible("a\r\nb\x1b[2Jc\x7f\x9b\t\x00") == "a␍\nb␛[2Jc␡\\x9b\t␀"
    assert visible("a\r\nb\x1b[2Jc\x7f\x9b\t\x00", "ascii") == "a^M\nb^[[2Jc^?\\x9b\t^@"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40))
def test_a_table_shows_any_name_as_it_is(name: str) -> None:
    assume(cell_len(name) > 0 and name == name.strip() and not any(cell_len(one) == 0 for one in name))
    for text in (name, f"[bold]{name}[/bold]", f"[{name}]", f":{name}:"):
        assert any(line.startswith(text) for line in table_lines(("corpus", "x"), [(text, "y")], None))
