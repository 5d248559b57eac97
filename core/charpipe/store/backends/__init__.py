"""Storage that machines share: the protocol of a backend, and the backends for folders and object storage."""

from charpipe.store.backends.backend import Backend, Entry, Stored
from charpipe.store.backends.opening import OPENERS, Opener, open_backend

__all__ = ["OPENERS", "Backend", "Entry", "Opener", "Stored", "open_backend"]
