"""Marks of use: `marks/<digest>` was written when a machine last used an object. A collection goes by them.

Whoever uses an object writes the mark first and reads the manifest then; a collection removes the manifest first and
reads the mark then. So one of the two sees the other.
"""

from __future__ import annotations

import secrets
import socket

from charpipe.store.backends import Backend

FOLDER = "marks"


def key_of(digest: str) -> str:
    """The key of an object's mark."""
    return f"{FOLDER}/{digest}"


def mark(backend: Backend, digest: str) -> None:
    """Record that this machine uses the object now. If another machine records the same meanwhile, that will do."""
    data = f"{socket.gethostname()} {secrets.token_hex(4)}\n".encode()
    stored = backend.read(key_of(digest))
    if stored is None:
        backend.create(key_of(digest), data)
    else:
        backend.replace(key_of(digest), data, stored.version)
