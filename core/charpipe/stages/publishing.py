"""What MLflow still has to be told of the runs that the stages of one command work on."""

from __future__ import annotations


class Publishing:
    """Shared by all stages of a command: a run has new scores or samples, or MLflow did not answer."""

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._is_lost = False

    @property
    def is_lost(self) -> bool:
        """Whether MLflow did not answer: it is not asked again in this command."""
        return self._is_lost

    def lose(self) -> None:
        """Note that MLflow did not answer."""
        self._is_lost = True

    def change(self, run: str) -> None:
        """Note that a run has scores or samples that MLflow does not have."""
        self._changed.add(run)

    def is_due(self, run: str) -> bool:
        """Whether a run is to be published now."""
        return run in self._changed and not self._is_lost
