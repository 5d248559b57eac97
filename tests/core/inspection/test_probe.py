"""Strengths are what the textbook says: the area under the curve by counting pairs, Spearman's correlation by ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from charpipe.inspection.probe import centred_ranks, strengths, threshold


def area(values: np.ndarray, on: np.ndarray) -> float:
    """The share of pairs in which the unit is higher where the signal is on; equal ones count half."""
    inside, outside = values[on > 0][:, None], values[on == 0][None]
    return float(((inside > outside) + 0.5 * (inside == outside)).mean())


@settings(max_examples=50, deadline=None)
@given(arrays(np.float16, 40, elements=st.floats(-100, 100, width=16)), st.integers(0, 2**32 - 1))
def test_the_strength_of_a_signal_that_is_on_or_off_is_its_area(values: np.ndarray, seed: int) -> None:
    on = (np.random.default_rng(seed).random(40) < 0.4).astype(np.float32)
    on[:2] = 0, 1
    found = strengths(values[:, None], on[:, None], np.array([False]))[0, 0]
    assert (found + 1) / 2 == pytest.approx(area(values, on), abs=1e-4)


def test_the_strength_of_a_signal_that_counts_is_the_correlation_of_ranks() -> None:
    generator = np.random.default_rng(1)
    signal = generator.integers(0, 5, 300).astype(np.float32)
    unit = (signal + generator.normal(0, 2, 300)).astype(np.float16)
    ranks = [
        [(values < v).sum() + ((values == v).sum() - 1) / 2 for v in values] for values in (unit, signal)
    ]
    found = strengths(unit[:, None], signal[:, None], np.array([True]))[0, 0]
    assert found == pytest.approx(np.corrcoef(ranks)[0, 1], abs=1e-4)


def test_what_is_constant_tells_nothing() -> None:
    units = np.stack([np.ones(10), np.arange(10)], 1).astype(np.float16)
    signals = np.stack([np.arange(10) > 4, np.ones(10)], 1).astype(np.float32)
    found = strengths(units, signals, np.array([False, True]))
    assert found[0].tolist() == [0, 0]
    assert found[1].tolist() == [pytest.approx(1), 0]


def test_ranks_know_signs_zeros_and_what_is_no_number() -> None:
    values = np.array([[-2.0], [0.0], [-0.0], [3.0], [np.nan], [np.inf]], np.float16)
    assert centred_ranks(values)[0].tolist() == [-2.5, -0.5, -0.5, 1.5, -0.5, 2.5]


def test_the_threshold_parts_what_can_be_parted() -> None:
    values = np.array([0.1, 0.9, 0.2, 0.8, 0.2])
    on = np.array([0, 1, 0, 1, 0])
    assert ((values > threshold(values, on)) == (on > 0)).all()
