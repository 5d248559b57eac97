"""Formulas of decoders: compiled for one row they equal numpy's result, also those of a plugin."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest

pytest.importorskip("numba", reason="compiled loops need numba")

from charpipe.kernels import rows
from charpipe.kernels.rows import RowFormula
from charpipe.kernels.step.decoders import apply_decoders, compile_formulas

BATCH = np.random.default_rng(3).normal(size=(4, 3, 7)) * 5


def all_functions(scores, number):
    """Every function of `rows`, and arithmetic."""
    cumulative = rows.row_cumsum(np.exp(scores - rows.row_max(scores)))
    last = rows.row_item(cumulative, -1)
    few = rows.row_count(cumulative < number * last)
    threshold = rows.row_item(rows.sorted_descending(scores), few) - rows.kth_largest(scores, 2) * 0.01
    kept = rows.keep_at_least(scores, threshold) / number
    return np.maximum(kept, rows.keep_first_max(scores) * 2.0)


def compiled_rows(formulas, batch):
    chain = compile_formulas(formulas)
    assert chain is not None
    found = batch.copy()
    for row in found.reshape(-1, batch.shape[-1]):
        apply_decoders(row, *chain)
    return found


@pytest.mark.parametrize("number", [0.3, 0.9])
def test_compiled_formula_equals_numpy_row_by_row(number):
    formula = RowFormula(all_functions, number)
    wanted = formula(BATCH)
    assert wanted.shape == BATCH.shape
    np.testing.assert_allclose(compiled_rows([formula], BATCH), wanted, rtol=1e-12)


def test_formulas_are_applied_in_order():
    def doubled(scores, number):
        return scores * number

    def increased(scores, number):
        return scores + number

    chain = [RowFormula(doubled, 2.0), RowFormula(increased, 1.0), RowFormula(doubled, 3.0)]
    np.testing.assert_allclose(compiled_rows(chain, BATCH), (BATCH * 2 + 1) * 3, rtol=1e-15)


def test_formula_that_numba_cannot_compile_gives_none():
    def by_object(scores, number):
        return np.vectorize(lambda score: score + number)(scores)

    assert compile_formulas([RowFormula(by_object, 1.0)]) is None


def test_nan_stays_nan_so_that_it_is_noticed():
    scores = np.array([1.0, np.nan, 3.0, 2.0])
    assert np.isnan(rows.keep_at_least(scores, rows.kth_largest(scores, 2))).tolist() == [0, 1, 0, 0]


def test_changed_formula_is_compiled_again(tmp_path, monkeypatch):
    """numba alone looks at a function's own file; the formula's file is another one."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for factor in (2.0, 5.0):
        source = f"def scaled(scores, number):\n    return scores * {factor}\n"
        (tmp_path / "changing_decoder.py").write_text(source)
        sys.modules.pop("changing_decoder", None)
        importlib.invalidate_caches()
        formula = RowFormula(importlib.import_module("changing_decoder").scaled)
        np.testing.assert_allclose(compiled_rows([formula], BATCH), BATCH * factor)
