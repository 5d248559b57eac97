"""Probes of a few units find the units that carry a signal together, and no more units than asked."""

from __future__ import annotations

import numpy as np
import pytest

from charpipe.inspection.formatting import unit_names
from charpipe.inspection.probe import strengths
from charpipe.inspection.sparse_probe import Probes, SparseProbe
from charpipe.inspection.units import Unit

UNITS = 40


def noise(seed: int, characters: int = 6000) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(characters, UNITS)).astype(np.float16)


def texts(signal) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Recordings of noise on two texts, and the signals computed from them."""
    units = noise(1), noise(2)
    return units, (signal(units[0].astype(np.float32)), signal(units[1].astype(np.float32)))


def test_two_units_that_carry_a_signal_together_are_chosen() -> None:
    recorded, signals = texts(lambda units: (units[:, 3] - 2 * units[:, 7] > 1).astype(np.float32))
    probe = Probes(recorded, 2).fit(signals, graded=False)
    assert probe is not None and [one.column for one in probe.weights] == [7, 3]
    assert probe.weights[0].weight < 0 < probe.weights[1].weight
    single = np.abs(strengths(recorded[1], signals[1][:, None], np.array([False]))).max()
    assert probe.held_out > 0.99 > 0.95 > single


def test_signal_that_counts_is_probed_by_rank_correlation() -> None:
    recorded, signals = texts(lambda units: np.exp(units[:, 5] + units[:, 6] + units[:, 30]))
    probe = Probes(recorded, 3).fit(signals, graded=True)
    assert probe is not None and {one.column for one in probe.weights} == {5, 6, 30}
    assert probe.held_out > 0.99 and all(one.weight > 0 for one in probe.weights)


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("most", [1, 4, 64])
def test_no_more_units_than_asked(graded: bool, most: int) -> None:
    def signal(units: np.ndarray) -> np.ndarray:
        return units[:, :8].sum(1) if graded else (units[:, :8].sum(1) > 0).astype(np.float32)

    recorded, signals = texts(signal)
    probe = Probes(recorded, most).fit(signals, graded)
    assert probe is not None and 1 <= len(probe.weights) <= min(most, UNITS)
    assert {one.column for one in probe.weights[:8]} <= set(range(8))


def test_rare_signal_is_found_among_many_characters() -> None:
    units = noise(1, 20_000), noise(2, 20_000)
    signals = tuple((np.arange(20_000) % 400 == 0).astype(np.float32) for _ in units)
    for one, on in zip(units, signals, strict=True):
        one[:, 9] += 4 * on
    probe = Probes(units, 2).fit(signals, graded=False)
    assert probe is not None and probe.weights[0].column == 9 and probe.held_out > 0.98


def test_unrelated_signal_scores_near_chance_on_held_out_text() -> None:
    generator = np.random.default_rng(3)
    signals = tuple((generator.random(6000) < 0.2).astype(np.float32) for _ in range(2))
    probe = Probes((noise(1), noise(2)), 5).fit(signals, graded=False)
    assert probe is None or abs(probe.held_out) < 0.1


def test_constant_infinite_and_missing_values_do_no_harm() -> None:
    recorded, signals = texts(lambda units: (units[:, 3] > 0).astype(np.float32))
    for units in recorded:
        units[:, 0] = 7
        units[5, 1], units[6, 1], units[7, 1] = np.inf, -np.inf, np.nan
    probe = Probes(recorded, 1).fit(signals, graded=False)
    assert probe is not None and probe.weights[0].column == 3 and probe.held_out > 0.99
    constant = tuple(np.ones((1000, 4), np.float16) for _ in range(2))
    alternating = tuple((np.arange(1000) % 2).astype(np.float32) for _ in range(2))
    for graded in (False, True):
        assert Probes(constant, 2).fit(alternating, graded) is None


def test_units_are_named_by_layer() -> None:
    units = (Unit("cell", 0, 7), -2.0), (Unit("hidden", 1, 3), 1.0), (Unit("cell", 0, 9), 0.5)
    assert unit_names(SparseProbe(units, 0.9, 0.9, None)) == "cell[0] 7 9, hidden[1] 3"
