"""Linear probes of a few units: what several units together say about a signal.

The units are chosen by the L1 penalty, which gives most units no weight (logistic regression for a signal that is on or
off, linear regression, the lasso, for one that counts). Then a probe without that penalty is fitted to the chosen units
alone, since the penalty also makes their weights too small (as in Gurnee et al. 2023, "Finding Neurons in a Haystack",
arXiv 2305.01610). Units are standardised: mean 0, standard deviation 1 on the text on which the probe is fitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.inspection.probe import strengths
from charpipe.inspection.units import Unit

UNITS = 5
"""Units of a probe, unless set."""
EXAMPLES = 4096
"""Characters from which the units of a probe are chosen: where a signal is on or off, half of each."""
FITTED = 32_768
"""Characters to which a probe is fitted."""
FITS = 10
"""Penalties that are tried to get the wanted number of units."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Weighted:
    """A column of a recording and its weight, for the standardised unit."""

    column: int
    weight: float


@dataclass(frozen=True)
class SparseProbe:
    """A probe of a few units, largest weight first, and its strengths on the selection and on the held-out text.
    `untrained`: the strongest held-out strength of probes that were fitted in the same way to untrained networks."""

    units: tuple[tuple[Unit, float], ...]
    choosing: float
    held_out: float
    untrained: float | None


@dataclass(frozen=True)
class Fitted:
    """A probe by columns, and its strengths on both texts."""

    weights: tuple[Weighted, ...]
    choosing: float
    held_out: float


class Probes:
    """Fits probes of up to `most` units to the recordings of one network on the two texts, [characters, units]."""

    def __init__(self, recorded: tuple[Array, Array], most: int) -> None:
        self.most = most
        thinned = _finite(recorded[0][:: max(1, len(recorded[0]) // FITTED)])
        self.mean, self.spread = thinned.mean(0), np.maximum(thinned.std(0), 1e-6)
        self.recorded = recorded

    def fit(self, signals: tuple[Array, Array], graded: bool) -> Fitted | None:
        """The probe for one signal, [characters] on both texts; None if no unit gets a weight."""
        values = signals[0] if graded else signals[0] > 0
        chosen = self._choose(values, graded)
        if not len(chosen):
            return None
        weights = self._refit(chosen, values, graded)
        scores = [
            self._strength(recorded, chosen, weights, signal, graded)
            for recorded, signal in zip(self.recorded, signals, strict=True)
        ]
        order = np.argsort(-np.abs(weights), kind="stable")
        found = tuple(Weighted(int(chosen[n]), float(weights[n])) for n in order)
        return Fitted(found, scores[0], scores[1])

    def _standardised(self, recorded: Array, columns: Array | slice) -> Array:
        found: Array = (_finite(recorded[:, columns]) - self.mean[columns]) / self.spread[columns]
        return found

    def _choose(self, values: Array, graded: bool) -> Array:
        """The columns that the L1 penalty leaves, at most `most`."""
        rows = _spaced(np.arange(len(values)), EXAMPLES) if graded else _balanced(values)
        units = self._standardised(self.recorded[0][rows], slice(None)).astype(np.float64)
        choose = _lasso if graded else _logistic
        return choose(units, values[rows], self.most)

    def _refit(self, chosen: Array, values: Array, graded: bool) -> Array:
        from sklearn.linear_model import LinearRegression, LogisticRegression

        rows = slice(None, None, max(1, len(values) // FITTED))
        units = self._standardised(self.recorded[0][rows], chosen).astype(np.float64)
        model = LinearRegression() if graded else LogisticRegression(class_weight="balanced", max_iter=200)
        with _quiet():
            found: Array = np.ravel(model.fit(units, values[rows]).coef_)
        return found

    def _strength(self, recorded: Array, chosen: Array, weights: Array, signal: Array, graded: bool) -> float:
        """The strength of the probe's sum, measured as that of a unit."""
        summed = self._standardised(recorded, chosen) @ weights.astype(np.float32)
        scale = max(1.0, float(np.abs(summed).max(initial=0)) / 1e4)  # within float16
        found = strengths((summed / scale)[:, None].astype(np.float16), signal[:, None], np.array([graded]))
        return float(found[0, 0])


def _finite(values: Array) -> Array:
    """As float32, with 0 for what is not finite."""
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _logistic(units: Array, on: Array, most: int) -> Array:
    """By logistic regression with the L1 penalty: the weakest penalty tried that leaves at most `most` units."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import l1_min_c

    if on.all() or not on.any() or not units.any():
        return np.zeros(0, np.int64)
    low = float(l1_min_c(units, on, loss="log"))
    high, strength = None, 4 * low
    best = np.zeros(0, np.int64)
    for _ in range(FITS):
        model = LogisticRegression(l1_ratio=1, solver="liblinear", C=strength, tol=1e-3, random_state=0)
        with _quiet():
            left = np.flatnonzero(model.fit(units, on).coef_[0])
        if len(best) < len(left) <= most:
            best = left
        if len(left) == most:
            break
        low, high = (strength, high) if len(left) < most else (low, strength)
        strength = 2 * low if high is None else float(np.sqrt(low * high))
    return best


def _lasso(units: Array, values: Array, most: int) -> Array:
    """By the lasso: the last set of at most `most` units along its path, from the strongest penalty on."""
    from sklearn.linear_model import lars_path

    with _quiet():
        _, _, weights = lars_path(
            units - units.mean(0),
            values.astype(np.float64) - values.mean(),
            method="lasso",
            max_iter=2 * most,
        )
    counts = (weights != 0).sum(0)
    return np.flatnonzero(weights[:, np.flatnonzero(counts <= most)[-1]])


def _balanced(on: Array) -> Array:
    """Rows where a signal is on and as many where it is off, evenly spaced."""
    half = min(EXAMPLES // 2, int(on.sum()), int((~on).sum()))
    chosen = [_spaced(np.flatnonzero(one), half) for one in (on, ~on)]
    return np.sort(np.concatenate(chosen))


def _spaced(rows: Array, many: int) -> Array:
    """Up to `many` of some rows, evenly spaced."""
    return rows[np.linspace(0, len(rows) - 1, min(many, len(rows))).round().astype(np.int64)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without scikit-learn's warnings that a fit has not quite converged: the units that it leaves change little."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
