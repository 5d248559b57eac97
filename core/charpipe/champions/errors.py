"""Errors of decisions about champions."""

from __future__ import annotations

from charpipe.errors import RunError


class ChampionChangedError(RunError):
    """Another machine changed the champion while this one decided; nothing was changed."""
