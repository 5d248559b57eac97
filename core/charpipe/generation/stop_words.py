"""Stop a text before a given string, which may arrive in several pieces."""

from __future__ import annotations


class StopTextFilter:
    """Passes text on up to the first `end`; a possible beginning of `end` is held back."""

    def __init__(self, end: str | None) -> None:
        self._end, self._held = end, ""
        self.reached = False

    def pass_on(self, piece: str, last: bool = False) -> str:
        """The text not passed on yet that is certainly before `end`."""
        if self._end is None or self.reached:
            return "" if self.reached else piece
        held = self._held + piece
        found = held.find(self._end)
        self.reached = found >= 0
        cut = found if self.reached else len(held) if last else len(held) - self._kept(held, self._end)
        self._held = held[cut:]
        return held[:cut]

    @staticmethod
    def _kept(held: str, end: str) -> int:
        """The length of the longest suffix of `held` that may be the beginning of `end`."""
        return next(n for n in range(min(len(end) - 1, len(held)), -1, -1) if held.endswith(end[:n]))
