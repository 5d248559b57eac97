"""Which runs of a command have results that are not in MLflow yet."""

from __future__ import annotations


class Publishing:
    """Shared by all stages of a command: which runs have new scores or samples, and whether MLflow failed to answer."""

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._is_lost = False

    @property
    def is_lost(self) -> bool:
        """Whether MLflow did not answer: this command does not try it again."""
        return self._is_lost

    def lose(self) -> None:
        """Record that MLflow did not answer."""
        self._is_lost = True

    def change(self, run: str) -> None:
        """Record that a run has scores or samples that MLflow lacks."""
        self._changed.add(run)

    def has_changed(self, run: str) -> bool:
        """Whether a run has scores or samples that this command has added."""
        return run in self._changed

    def is_due(self, run: str) -> bool:
        """Whether to publish a run now."""
        return run in self._changed and not self._is_lost
