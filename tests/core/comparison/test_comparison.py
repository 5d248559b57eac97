from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.comparison import Row, baseline_rows, leaderboard, match_parameters, table, write_csv
from charpipe.comparison import trials as trials
from charpipe.errors import UsageError


@given(st.integers(1, 10_000_000), st.integers(1, 4), st.integers(2, 200))
def test_no_other_width_is_nearer(wanted: int, gates: int, letters: int) -> None:
    def count(size: int) -> int:
        return gates * size * (size + letters + 1) + size * letters

    if count(1) > 2 * wanted:
        with pytest.raises(UsageError, match="one unit has"):
            match_parameters(wanted, count)
        return
    found = match_parameters(wanted, count)
    assert found.residual == count(found.size) - wanted
    for other in (found.size - 1, found.size + 1):
        if other >= 1:
            assert abs(found.residual) <= abs(count(other) - wanted)


def test_every_size_depth_and_seed_and_a_counted_one_once() -> None:
    made = trials(["lstm", "ngram"], ["lstm"], [8, 16], [1, 2], [1, 2])
    assert [one.title for one in made[::2]] == ["lstm 1x8", "lstm 2x8", "lstm 1x16", "lstm 2x16", "ngram"]
    assert len(made) == 9


def test_best_first_with_spread_and_a_failure_is_a_row_of_its_own() -> None:
    rows = [
        Row("rnn 1x8", 1, test_loss=2.0, test_bits=3.0, engine="plain"),
        Row("rnn 1x8", 2, test_loss=2.2, test_bits=3.2, engine="plain"),
        Row("lstm 1x8", 1, test_loss=1.5, test_bits=2.0),
        Row("lstm 1x8", 2, error="the loss is not a number"),
        Row("gru 1x8", 1, error="out of memory"),
    ]
    lstm, rnn, gru = leaderboard(rows)
    assert (lstm.title, lstm.seeds, lstm.failed, lstm.deviation) == ("lstm 1x8", 1, 1, None)
    assert (rnn.bits, rnn.least, rnn.most) == (pytest.approx(3.1), 3.0, 3.2)
    assert rnn.deviation == pytest.approx(0.1 * 2**0.5)
    assert (gru.title, gru.bits) == ("gru 1x8", None)
    assert "1 failed: out of memory" in table([lstm, rnn, gru]).splitlines()[-1]


def test_ranked_by_validation_where_one_has_no_score_on_test() -> None:
    rows = [
        Row("a", 1, val_bits=2.0, test_bits=1.0),
        Row("b", 1, val_bits=1.5),
        Row("c", 1, error="gone", test_bits=None),
    ]
    standings = leaderboard(rows)
    assert [(one.title, one.bits, one.split) for one in standings] == [
        ("b", 1.5, "val"),
        ("a", 2.0, "val"),
        ("c", None, "val"),
    ]


def test_compressors_are_rows_without_a_training() -> None:
    rows = baseline_rows({"test/xz_bits_per_char": 2.5, "test/xz_after_training_bits_per_char": 2.25})
    best = leaderboard([*rows, Row("rnn 1x8", 1, test_bits=2.0)])
    assert [(one.title, one.bits, one.baseline) for one in best] == [
        ("rnn 1x8", 2.0, False),
        ("xz after training", 2.25, True),
        ("xz", 2.5, True),
    ]


def test_csv_can_be_read_back(tmp_path: Path) -> None:
    rows = [Row("a, b", 1, run="x", test_bits=1.25), Row("ü", 2, error='a "quoted" reason')]
    write_csv(tmp_path / "rows.csv", rows, Row)
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [(one["title"], one["test_bits"], one["error"]) for one in read] == [
        ("a, b", "1.25", ""),
        ("ü", "", 'a "quoted" reason'),
    ]
