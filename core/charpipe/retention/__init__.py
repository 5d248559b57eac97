"""Retention: which runs and models are kept, and garbage collection of everything unreferenced."""

from typing import TYPE_CHECKING

from charpipe.config.settings.retention import RetentionConfig
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.retention.collection import collect
    from charpipe.retention.removal import Removed

__getattr__ = names(__name__, {"Removed": "removal", "collect": "collection"})

__all__ = ["Removed", "RetentionConfig", "collect"]
