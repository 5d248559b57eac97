"""What a notebook shows of an expectation."""

from __future__ import annotations

import numpy as np

from charpipe.api.distribution import Distribution


def test_a_notebook_shows_escaped_bars() -> None:
    shown = Distribution(np.array([3.0, 0.0], np.float32), ["<", "b"])._repr_html_()
    assert "<code>&#x27;&lt;&#x27;</code>" in shown and "95.26%" in shown and "width:95.3%" in shown
