"""A check of the shared store: reachable, with the two conditional writes that ownership needs, and a right clock."""

from __future__ import annotations

import os
from collections.abc import Iterator

from charpipe.diagnostics.surroundings import Surroundings
from charpipe.errors import CharpipeError, StoreAccessError, StoreUnreachableError, UsageError
from charpipe.plugins.contracts import Finding
from charpipe.store.backends import Backend

FOLDER = "probes"


def shared_store(surroundings: Surroundings) -> Iterator[Finding]:
    """The store that `[store] url` names. Writes one small object and deletes it."""
    from charpipe.store.server_clock import ServerClock

    config = surroundings.resolved.config.store if surroundings.resolved else None
    if config is None or config.url is None:
        if surroundings.cluster:
            yield Finding(
                "store", "ok", "[store] url is not set: this workspace shares nothing with other machines"
            )
        return
    try:
        backend = surroundings.registry.open_store(config)
        problem = probe(backend)
        if problem is not None:
            message = f"{backend.url} cannot be shared: {problem}"
            yield Finding(
                "store", "problem", message, "name a store with conditional writes, as S3 and GCS have them"
            )
            return
        said = f"{backend.url} answers; create-only writes and compare-and-swap work"
        yield Finding("store", "ok", said)
        ServerClock(backend).check(config.lease_seconds)
        yield Finding(
            "store", "ok", f"its clock and this machine's differ by less than a lease ({config.lease})"
        )
    except StoreUnreachableError as error:
        yield Finding("store", "problem", str(error), "start it, or correct url and endpoint in [store]")
    except (StoreAccessError, UsageError) as error:
        yield Finding("store", "problem", str(error), "see docs/cluster.md")
    except CharpipeError as error:
        yield Finding("store", "problem", str(error))


def probe(backend: Backend) -> str | None:
    """What is wrong with the store's conditional writes; None if they work."""
    key = f"{FOLDER}/{os.urandom(8).hex()}"
    try:
        first = backend.create(key, b"first")
        if first is None:
            return "a create-only write of a new key was refused"
        if backend.create(key, b"second") is not None:
            return "a create-only write replaced what was there"
        second = backend.replace(key, b"second", first)
        if second is None:
            return "a compare-and-swap with the right version was refused"
        if backend.replace(key, b"third", first) is not None:
            return "a compare-and-swap with an old version was accepted"
        stored = backend.read(key)
        return (
            None if stored is not None and stored.data == b"second" else "it does not read what was written"
        )
    finally:
        backend.delete([key])
