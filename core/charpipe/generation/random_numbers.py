"""The random numbers for a text: drawn in blocks, used row by row, the same for every sampler."""

from __future__ import annotations

import numpy as np

from charpipe.kernels.rows import Scores

BLOCK = 1 << 15
"""Numbers drawn per block."""


class Noise:
    """Rows [V] of standard Gumbel noise from one generator."""

    def __init__(self, generator: np.random.Generator, vocabulary_size: int) -> None:
        self.generator = generator
        self._shape = (max(1, BLOCK // vocabulary_size), vocabulary_size)
        self._rows: Scores = np.empty((0, vocabulary_size))
        self._at = 0

    def rows(self, most: int) -> Scores:
        """The next rows, [n, V], at least one and up to `most`; returned again until they are marked `used`."""
        if self._at == len(self._rows):
            drawn = self.generator.standard_exponential(self._shape)
            # in float64 a zero, whose row would always win, is too rare to matter
            self._rows, self._at = -np.log(np.maximum(drawn, np.finfo(np.float64).tiny)), 0
        return self._rows[self._at : self._at + most]

    def any_token(self) -> int:
        """A token drawn uniformly."""
        return int(self.generator.integers(self._shape[1]))

    def used(self, count: int) -> None:
        """Mark `count` rows as used."""
        self._at += count
