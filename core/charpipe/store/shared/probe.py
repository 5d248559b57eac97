"""Whether a storage backend keeps its promises: conditional writes, tried on an object of their own."""

from __future__ import annotations

import secrets

from charpipe.errors import StoreAccessError
from charpipe.store.backends import Backend

FOLDER = "probes"


def probe(backend: Backend) -> None:
    """Raise StoreAccessError if a second `create` or a `replace` of an old version overwrites."""
    key = f"{FOLDER}/{secrets.token_hex(8)}"
    try:
        first = backend.create(key, b"one")
        again = backend.create(key, b"two")
        second = backend.replace(key, b"three", first or "")
        stale = backend.replace(key, b"four", first or "")
        found = backend.read(key)
    finally:
        backend.delete([key])
    works = first is not None and again is None and second is not None and stale is None
    if not works or found is None or found.data != b"three":
        raise StoreAccessError(
            f"{backend.url} has no conditional writes (create-only and compare-and-swap), without which machines "
            "overwrite each other's work; name another store in [store]"
        )
