"""What the updates since the last report measured, by name: values that may still be on their device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


class Measurements:
    """Values by name, one for each update that measured it. A tensor is fetched from its device only when a mean or a
    checkpoint needs it."""

    def __init__(self, values: Mapping[str, list[Any]] | None = None) -> None:
        self._values: dict[str, list[Any]] = {name: list(of) for name, of in (values or {}).items()}

    def add(self, measured: Mapping[str, Any]) -> None:
        """Add what one update measured: floats or scalar tensors."""
        for name, value in measured.items():
            self._values.setdefault(name, []).append(value)

    def values(self) -> dict[str, list[float]]:
        """The finite values so far, fetched. A gradient that overflows in float16 has no finite norm, and its update is
        skipped."""
        self._values = {
            name: [number for number in map(float, of) if math.isfinite(number)]
            for name, of in self._values.items()
        }
        return {name: list(of) for name, of in self._values.items()}

    def means(self) -> dict[str, float]:
        """The mean of each name's values, in float64; those without a finite value are left out."""
        return {name: sum(of) / len(of) for name, of in self.values().items() if of}

    def clear(self) -> None:
        """Start over, after a report."""
        self._values.clear()
