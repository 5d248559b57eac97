"""Stop a text before the first of some strings, which may arrive in several pieces."""

from __future__ import annotations

from collections.abc import Sequence


class StopTextFilter:
    """Passes text on up to the first of `ends` (of those that begin at the same place, any); what may be the beginning
    of one is held back."""

    def __init__(self, ends: str | Sequence[str] | None) -> None:
        self._ends = [ends] if isinstance(ends, str) else list(ends or ())
        self._held = ""
        self.reached = False

    def pass_on(self, piece: str, last: bool = False) -> str:
        """The text not passed on yet that is certainly before all ends."""
        if not self._ends or self.reached:
            return "" if self.reached else piece
        held = self._held + piece
        found = [place for end in self._ends if (place := held.find(end)) >= 0]
        kept = 0 if last else max(self._kept(held, end) for end in self._ends)
        if found and min(found) <= len(held) - kept:
            self.reached = True
            self._held = ""
            return held[: min(found)]
        self._held = held[len(held) - kept :]
        return held[: len(held) - kept]

    @staticmethod
    def _kept(held: str, end: str) -> int:
        """The length of the longest suffix of `held` that may be the beginning of `end`."""
        return next(n for n in range(min(len(end) - 1, len(held)), -1, -1) if held.endswith(end[:n]))
