"""Filters and order of `charpipe runs list`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.errors import UsageError
from charpipe.runs.selection import RunFilter, check_keys, select, sort_rows

ROWS = [
    {"run": "a", "val/loss": 1.5, "state": "finished", "tags": ["baseline", "lr=0.1"], "note": None},
    {"run": "b", "val/loss": 2, "state": "Failed", "tags": [], "note": "odd = odd"},
    {"run": "c", "val/loss": None, "state": "finished", "tags": ["lr=0.2"], "note": None},
]


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("val/loss<2", "a"),
        ("val/loss<=2", "ab"),
        ("val/loss>1.5", "b"),
        ("val/loss>=1.5", "ab"),
        ("val/loss=2.0", "b"),
        ("val/loss!=2", "ac"),
        ("val/loss=", "c"),
        ("val/loss!=", "ab"),
        (" state = FINISHED ", "ac"),
        ("state!=finished", "b"),
        ("state~fin", "ac"),
        ("tags=baseline", "a"),
        ("tags=lr=0.2", "c"),
        ("tags~lr=", "ac"),
        ("tags!=baseline", "bc"),
        ("note~ = odd", "b"),
        ("run>a", "bc"),
    ],
)
def test_a_filter_chooses(text: str, fitting: str) -> None:
    assert "".join(row["run"] for row in select(ROWS, [RunFilter.parse(text)])) == fitting


def test_all_filters_must_fit() -> None:
    filters = [RunFilter.parse("state=finished"), RunFilter.parse("val/loss<9")]
    assert [row["run"] for row in select(ROWS, filters)] == ["a"]


@pytest.mark.parametrize("text", ["", "val/loss", "=3", "<", " ~x"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no filter"):
        RunFilter.parse(text)


def test_a_number_is_compared_with_numbers_only() -> None:
    with pytest.raises(UsageError, match="'low' is none"):
        select(ROWS, [RunFilter.parse("val/loss<low")])


@pytest.mark.parametrize(("reverse", "order"), [(False, "abc"), (True, "bac")])
def test_rows_without_the_value_come_last(reverse: bool, order: str) -> None:
    assert "".join(row["run"] for row in sort_rows(ROWS[::-1], "val/loss", reverse)) == order


@given(st.lists(st.one_of(st.none(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3))))
def test_any_values_can_be_sorted(values: list) -> None:
    rows = [{"x": value} for value in values]
    assert len(sort_rows(rows, "x")) == len(rows)


def test_an_unknown_key_is_refused_with_a_near_match() -> None:
    check_keys(["seed"], ROWS, ["seed"])
    with pytest.raises(UsageError, match="did you mean 'state'"):
        check_keys(["stat"], ROWS, [])
