"""Housekeeping: what is kept for how long, and the removal of what nothing refers to any more."""

from typing import TYPE_CHECKING

from charpipe.config.settings.retention import RetentionConfig
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.retention.collection import Removed, collect

__getattr__ = names(__name__, {"Removed": "collection", "collect": "collection"})

__all__ = ["Removed", "RetentionConfig", "collect"]
