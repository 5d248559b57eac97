"""A check of the shared store: reachable, with the two conditional writes that ownership needs, and a right clock."""

from __future__ import annotations

from collections.abc import Iterator

from charpipe.diagnostics.surroundings import Surroundings
from charpipe.errors import CharpipeError, StoreAccessError, StoreUnreachableError, UsageError
from charpipe.plugins.contracts import Finding
from charpipe.store.server_clock import ServerClock


def shared_store(surroundings: Surroundings) -> Iterator[Finding]:
    """The store that `[store] url` names. Writes one small object and deletes it."""
    from charpipe.store.shared.connection import check_mounted
    from charpipe.store.shared.probe import probe

    config = surroundings.resolved.config.store if surroundings.resolved else None
    if config is None or config.url is None:
        if surroundings.cluster:
            yield Finding(
                "store", "ok", "[store] url is not set: this workspace shares nothing with other machines"
            )
        return
    try:
        backend = surroundings.registry.open_store(config)
        check_mounted(backend, surroundings.workspace.store)
        probe(backend)
        said = f"{backend.url} answers; create-only writes and compare-and-swap work"
        yield Finding("store", "ok", said)
        ServerClock(backend).check(config.lease_seconds)
        yield Finding(
            "store", "ok", f"its clock and this machine's differ by less than a lease ({config.lease})"
        )
    except StoreUnreachableError as error:
        yield Finding("store", "problem", str(error), "start it, or correct url and endpoint in [store]")
    except (StoreAccessError, UsageError) as error:
        yield Finding("store", "problem", str(error), "see docs/shared-store.md")
    except CharpipeError as error:
        yield Finding("store", "problem", str(error))
