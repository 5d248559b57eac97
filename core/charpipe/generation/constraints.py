"""Where a text is in the constraints that it must satisfy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.errors import RunError, UsageError
from charpipe.kernels.rows import Scores
from charpipe.plugin import Constraint


class Progress:
    """One text in all constraints; with none, everything is allowed."""

    def __init__(self, constraints: Sequence[Constraint], length: int) -> None:
        self._constraints = constraints
        self._places: list[Any] = [each.start for each in constraints]
        self.remaining = length
        self.ended = False

    def copy(self) -> Progress:
        """A copy, which goes its own way."""
        found = Progress(self._constraints, self.remaining)
        found._places, found.ended = list(self._places), self.ended
        return found

    @property
    def complete(self) -> bool:
        """Whether the text may end here."""
        return all(each.complete(place) for each, place in self._pairs())

    def allowed(self) -> NDArray[np.bool_]:
        """The tokens [V] that may follow."""
        masks = [each.allowed(place, self.remaining) for each, place in self._pairs()]
        found: NDArray[np.bool_] = np.logical_and.reduce(masks)
        return found

    def narrow(self, scores: Scores) -> Scores:
        """The scores [V] of what may follow; all of them where the text may end, since any other token ends it."""
        if self.ended or self.complete:
            return scores
        allowed = self.allowed()
        if not allowed.any():
            raise RunError(
                "the constraints of the decoders contradict each other here; leave one of them out"
            )
        return np.where(allowed, scores, -np.inf)

    def read(self, token: int) -> bool:
        """Read a drawn token. False if the text ended before it."""
        self.ended = self.ended or not self.allowed()[token]
        if not self.ended:
            self._places = [each.after(place, token) for each, place in self._pairs()]
            self.remaining -= 1
        return not self.ended

    def _pairs(self) -> list[tuple[Constraint, Any]]:
        return list(zip(self._constraints, self._places, strict=True))


def check_length(constraints: Sequence[Constraint], length: int) -> None:
    """Raise UsageError where no complete text has at most `length` tokens."""
    shortest = max((each.shortest for each in constraints), default=0)
    if shortest > length:
        raise UsageError(
            f"the shortest text that the decoders allow has {shortest:,} tokens, but the length is {length:,}; "
            f"give --length {shortest} or more"
        )
