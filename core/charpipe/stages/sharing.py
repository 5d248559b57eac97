"""The shared store of a command, opened once: the stages and all copies of their context use the same one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from charpipe.config.settings.store import StoreConfig
from charpipe.plugins.registry import Registry

if TYPE_CHECKING:
    from charpipe.store.backends import Backend


class Sharing:
    """Opens the backend that the `[store]` table names, when it is first needed."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._backend: Backend | None = None

    def backend(self, config: StoreConfig, registry: Registry) -> Backend | None:
        """The backend, or None if no shared store is set, and then nothing is imported."""
        if config.url is None:
            return None
        with self._mutex:
            if self._backend is None:
                self._backend = registry.open_store(config)
            return self._backend
