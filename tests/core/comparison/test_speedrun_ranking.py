"""The order of a speedrun's configurations, and its p-values, over given losses."""

from __future__ import annotations

import math
from statistics import stdev

import pytest

from charpipe.comparison import Row
from charpipe.comparison.speedrun_ranking import ranking, welch


def rows(title: str, *losses: float) -> list[Row]:
    return [
        Row(title, seed, f"{title}-{seed}", steps=10, val_loss=loss, val_bits=loss / 0.6931)
        for seed, loss in enumerate(losses, 1)
    ]


def test_configurations_are_ranked_by_their_mean_validation_loss() -> None:
    entries = ranking([*rows("slow", 2.0, 2.2), *rows("quick", 1.0, 1.4), *rows("middle", 1.5, 1.6)])
    assert [entry.title for entry in entries] == ["quick", "middle", "slow"]
    best = entries[0]
    assert best.val_loss == pytest.approx(1.2) and best.val_loss_deviation == pytest.approx(stdev((1.0, 1.4)))
    assert best.val_bits_deviation == pytest.approx(stdev((1.0 / 0.6931, 1.4 / 0.6931)))
    assert (best.p, best.seeds, best.run) == (None, 2, "quick-1")
    assert entries[1].p is not None and entries[2].p is not None and entries[2].p < entries[1].p


def test_p_value_is_the_closed_form_for_two_degrees_of_freedom() -> None:
    t = 3.0 / math.sqrt(2.0 / 2 + 2.0 / 2)  # two values each, variance 2: Welch's degrees of freedom are 2
    assert welch([1.0, 3.0], [4.0, 6.0]) == pytest.approx(1 - t / math.sqrt(2 + t * t))


def test_variances_are_not_taken_for_equal() -> None:
    t = 3.0 / math.sqrt(
        2.0 / 2
    )  # one side has no variance: its degrees of freedom do not count, and 1 is left
    assert welch([1.0, 3.0], [5.0, 5.0]) == pytest.approx(1 - 2 / math.pi * math.atan(t))


@pytest.mark.parametrize(("one", "other"), [([1.0], [2.0, 3.0]), ([1.0, 2.0], []), ([1.0, 1.0], [2.0, 2.0])])
def test_without_a_spread_there_is_no_p_value(one: list[float], other: list[float]) -> None:
    assert welch(one, other) is None


def test_configurations_that_failed_are_last_and_say_why() -> None:
    broken = [Row("broken", seed, error="out of memory") for seed in (1, 2)]
    entries = ranking([*broken, *rows("whole", 3.0, 3.1), Row("whole", 3, error="stopped")])
    assert [(entry.title, entry.seeds, entry.failed) for entry in entries] == [
        ("whole", 2, 1),
        ("broken", 0, 2),
    ]
    assert entries[1].error == "out of memory" and entries[1].p is None


def test_nothing_ranked_is_an_empty_list() -> None:
    assert ranking([]) == []
