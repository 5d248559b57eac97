"""Errors of owning runs."""

from __future__ import annotations

from charpipe.errors import RunError


class FinishedElsewhereError(RunError):
    """There is nothing left to train: another process finished the run while this one waited for it."""
