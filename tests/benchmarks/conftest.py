"""The scripts of `benchmarks/` import each other, as they do where they are run."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, which is on the path of imports."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return BENCHMARKS
