"""Delete a run from the shared store, under its lease, so that no machine trains it meanwhile."""

from __future__ import annotations

import json

from charpipe.errors import RunError
from charpipe.runs.folder import Run
from charpipe.runs.mirror.layout import deletion_key, lease_name
from charpipe.runs.mirror.ownership import check_same_run
from charpipe.store.leases import Acquisition, Lease
from charpipe.store.shared import SharedStore


def delete_from_store(store: SharedStore, run: Run, *, dry_run: bool = False) -> int:
    """Delete everything of a run from the shared store; returns the bytes freed, 0 if the store has nothing of it.

    The index is deleted last, so that an interrupted deletion can be repeated. A note stays, so that a machine that has
    the run does not push it again. Raises RunError if another machine trains the run, StoreError if the store does not
    answer.
    """
    backend = store.connection.backend
    entries = list(backend.list(f"runs/{run.name}/"))
    by_action = (entry.key for entry in backend.list("index/runs-by-action/"))
    index = [key for key in by_action if key.endswith(f"/{run.name}.json")]
    if backend.read(f"index/runs/{run.name}.json") is not None:
        index.append(f"index/runs/{run.name}.json")
    freed = sum(entry.bytes for entry in entries)
    if dry_run or not (entries or index):
        return freed
    if any(entry.key.endswith("/run.json") for entry in entries):
        check_same_run(backend, run)
    seconds, clock = store.connection.lease_seconds, store.connection.clock
    lease = Acquisition(backend, lease_name(run.name), seconds, clock=clock).attempt()
    if not isinstance(lease, Lease):
        raise RunError(
            f"{run.name} is being trained by {lease}, so it is not deleted; wait until it ends, or stop it first"
        )
    try:
        keys = sorted((entry.key for entry in entries), key=lambda key: not key.endswith("/run.json"))
        lease.check()
        backend.create(deletion_key(run.name), json.dumps({"created": run.info.created}).encode())
        for part in (keys[:1], keys[1:], index):
            lease.check()
            backend.delete(part)
    finally:
        lease.release()
    return freed
