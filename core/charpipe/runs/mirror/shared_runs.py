"""The runs of the shared store, as one workspace sees them: what is read is kept in the workspace's own run folders."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from charpipe.errors import RunError
from charpipe.events import Listener
from charpipe.runs.annotations import FILE as ANNOTATIONS
from charpipe.runs.find import list_runs
from charpipe.runs.folder import Run
from charpipe.runs.mirror.deletion import delete_from_store
from charpipe.runs.mirror.layout import Listing, is_plain_name, lease_name, read_json, was_deleted
from charpipe.runs.mirror.ownership import Owner, is_ahead
from charpipe.runs.mirror.pull import drop_others, pull_annotations, pull_records, pull_step
from charpipe.runs.mirror.uploader import Uploader
from charpipe.runs.shared_record import SharedRecord, read_record
from charpipe.store.backends.backend import Backend
from charpipe.store.leases import holder_of
from charpipe.store.shared import SharedStore
from charpipe.workspace import Workspace

T = TypeVar("T")
AT_ONCE = 8
"""Runs that are read at once."""


@dataclass(frozen=True)
class SharedRuns:
    """Reads and writes runs in the shared store for one workspace.

    Reading never fails where the store does not answer: there is one warning, and the workspace's own runs are used.
    """

    workspace: Workspace
    store: SharedStore
    notify: Listener
    while_waiting: Callable[[], None] = lambda: None

    @property
    def backend(self) -> Backend:
        return self.store.connection.backend

    @property
    def url(self) -> str:
        return self.store.url

    def index(self) -> Mapping[str, Mapping[str, Any]]:
        """The index entries of all runs, by name."""
        names = self.names()
        with ThreadPoolExecutor(AT_ONCE) as threads:
            entries = threads.map(self._entry, names)
            return dict(zip(names, entries, strict=True))

    def names(self) -> list[str]:
        """The names of all runs, oldest first."""
        return self.guarded(lambda: self._listed("index/runs/"), [])

    def of_action(self, action: str) -> list[str]:
        """The names of the runs of an action."""
        return self.guarded(lambda: self._listed(f"index/runs-by-action/{action}/"), [])

    def refresh(self, names: Iterable[str]) -> None:
        """Bring the folders of these runs up to date, without their checkpoints; those trained here are."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(lambda name: self.guarded(lambda: self._refresh(name), None), names))

    def refresh_all(self) -> None:
        """Bring the folders of all runs up to date, and note which of those here were deleted from the store."""
        names = self.names()
        self.refresh(names)
        missing = {run.name for run in list_runs(self.workspace.runs)}.difference(names)
        self._note_deleted(Run(self.workspace.runs / name) for name in sorted(missing))

    def pull(self, run: Run, which: str) -> None:
        """Fetch the "best" or "last" checkpoint of a run, if this workspace has not got it."""
        record = self._record(run.folder)
        status = run.status
        entry = status.best if which == "best" and status.best else status.last
        if record is None or entry is None or (run.folder / str(entry["path"])).is_dir():
            return
        self.guarded(lambda: self.pull_step(run.name, int(entry["step"])), None)

    def pull_step(self, name: str, step: int) -> None:
        """Fetch the checkpoint of one step of a run. Raises StoreError, RunError if the store has no intact one."""
        run = Run(self.workspace.runs / name)
        listing = Listing(self.backend, name)
        if pull_step(self.backend, listing, run, step) is None:
            raise RunError(
                f"the checkpoint of step {step:,} of {name} is not intact in {self.backend.url}; "
                f"type: charpipe resume {name}"
            )

    def training(self, run: Run) -> AbstractContextManager[Uploader]:
        """Own a run while it is trained here; see `Owner.training`."""
        return self._owner().training(run)

    def check(self) -> None:
        """Raise StoreError where the store cannot be used, as a folder that is not mounted."""
        self.store.connection.open(self.workspace.store)

    def push(self, run: Run) -> bool:
        """Push what the store lacks of a run; see `Owner.push`. Raises StoreError."""
        return self._owner().push(run)

    def pending(self, runs: Iterable[Run]) -> list[Run]:
        """The runs that were trained here, and of which the store lacks something."""
        found = []
        for run in runs:
            record = self._record(run.folder)
            is_due = record is not None and record.mine and not (record.complete or record.deleted)
            if is_due and not run.is_locked():
                found.append(run)
        return found

    def is_only_here(self, run: Run) -> bool:
        """Whether a run was never pushed to this store, as one from before the workspace had it."""
        return self._record(run.folder) is None and not self.is_taken(run.name)

    def mark_incomplete(self, run: Run) -> None:
        """Note that the store lacks something of a run that was trained here."""
        record = self._record(run.folder)
        if record is not None and record.mine:
            record.model_copy(update={"complete": False}).write(run.folder)

    def push_annotations(self, run: Run) -> None:
        """Write the name, note and tags of a run, if the store has the run. Who writes last wins."""

        def push() -> None:
            if Listing(self.backend, run.name).exists:
                self.backend.upload(f"runs/{run.name}/{ANNOTATIONS}", run.folder / ANNOTATIONS)

        self.guarded(push, None)

    def delete(self, run: Run, *, dry_run: bool = False) -> int:
        """Delete a run; returns the bytes freed. See `charpipe.runs.mirror.deletion`."""
        return delete_from_store(self.store, run, dry_run=dry_run)

    def is_taken(self, name: str) -> bool:
        """Whether a run of this name is in the store."""
        return self.guarded(lambda: self.backend.read(f"index/runs/{name}.json") is not None, False)

    def _owner(self) -> Owner:
        return Owner(self.store, self.notify, self.while_waiting)

    def _listed(self, prefix: str) -> list[str]:
        names = (entry.key.removeprefix(prefix) for entry in self.backend.list(prefix))
        found = (name.removesuffix(".json") for name in names if name.endswith(".json"))
        return sorted(name for name in found if is_plain_name(name))

    def _entry(self, name: str) -> Mapping[str, Any]:
        nothing: Mapping[str, Any] = {}
        return self.guarded(lambda: read_json(self.backend, f"index/runs/{name}.json"), nothing)

    def _record(self, folder: Path) -> SharedRecord | None:
        return read_record(folder, self.backend.url)

    def _refresh(self, name: str) -> None:
        run = Run(self.workspace.runs / name)
        listing, known = Listing(self.backend, name), self._record(run.folder)
        is_here = (run.folder / "run.json").is_file()
        if listing.has_annotations and is_here and known is not None:
            pull_annotations(self.backend, name, run.folder)
        if (
            not listing.exists
            or (known is not None and is_ahead(listing, known))
            or (is_here and known is None)
        ):
            return
        if run.is_locked():
            return
        held = holder_of(self.backend, lease_name(name), self.store.connection.clock)
        until = time.time() + held.seconds if held is not None else 0.0
        if known is None or known.changed != listing.changed or not is_here:
            pull_records(self.backend, listing, run.folder)
            drop_others(self.backend, listing, run)
        there = listing.attempt(listing.newest)
        SharedRecord(
            store=self.backend.url,
            attempt=listing.newest,
            token=there.token if there is not None else "",
            changed=listing.changed,
            holder=str(held) if held is not None else None,
            until=until,
        ).write(run.folder)

    def _note_deleted(self, runs: Iterable[Run]) -> None:
        """Note which of these runs, which the index of the store does not name, were deleted there."""
        records = ((run, self._record(run.folder)) for run in runs)
        known = [(run, record) for run, record in records if record is not None and not record.deleted]
        nothing: list[tuple[Run, SharedRecord]] = []
        found = self.guarded(lambda: [one for one in known if was_deleted(self.backend, one[0])], nothing)
        for run, record in found:
            record.model_copy(update={"deleted": True}).write(run.folder)

    def guarded(self, work: Callable[[], T], otherwise: T) -> T:
        """What `work` returns; `otherwise`, after one warning, if the store does not answer."""
        return self.store.ask(lambda backend: work(), otherwise)
