"""The shared store of a command, opened once: the stages and all copies of their context use the same one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from charpipe.config.settings.store import StoreConfig
from charpipe.plugins.registry import Registry

if TYPE_CHECKING:
    from charpipe.store.backends import Backend
    from charpipe.store.shared import Connection, SharedStore


@dataclass(frozen=True)
class ContextListener:
    """Passes on what a shared store reports, to two functions of the context."""

    notice: Callable[..., None]
    progress: Callable[[str, int, int], None]


class Sharing:
    """Opens what the `[store]` table names when it is first needed: the backend, and the connection, which remembers
    what was checked and whether the store was lost."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._backend: Backend | None = None
        self._connection: Connection | None = None

    def backend(self, config: StoreConfig, registry: Registry) -> Backend | None:
        """The backend, or None if no shared store is set; then nothing is imported."""
        if config.url is None:
            return None
        with self._mutex:
            if self._backend is None:
                self._backend = registry.open_store(config)
            return self._backend

    def store(
        self, backend: Backend, lease_seconds: float, root: Path, listener: ContextListener
    ) -> SharedStore:
        """The shared store at `backend` behind the local store at `root`."""
        from charpipe.store.shared import Connection, SharedStore

        with self._mutex:
            if self._connection is None:
                self._connection = Connection(backend, lease_seconds)
            return SharedStore(self._connection, root, listener)
