"""The store that machines share: their objects, the actions that made them, who works on what, and what is in use."""

from charpipe.store.shared.connection import Connection
from charpipe.store.shared.shared_store import SharedStore, StoreListener

__all__ = ["Connection", "SharedStore", "StoreListener"]
