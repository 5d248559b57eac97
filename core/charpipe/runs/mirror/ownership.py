"""Own a run while it is trained here: its lease, a new attempt, the newest checkpoint of whoever trained it before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from charpipe.errors import LostLeaseError, RunError
from charpipe.events import Listener, Notice
from charpipe.runs.errors import FinishedElsewhereError
from charpipe.runs.folder import Run, step_of
from charpipe.runs.mirror.attempt import Attempt, begin
from charpipe.runs.mirror.layout import Listing, lease_name, read_json, was_deleted
from charpipe.runs.mirror.pull import pull_newest, pull_records
from charpipe.runs.mirror.uploader import Uploader
from charpipe.runs.shared_record import SharedRecord, read_record
from charpipe.store.backends.backend import Backend
from charpipe.store.holders import Holder
from charpipe.store.leases import Acquisition, Lease, acquire
from charpipe.store.shared import SharedStore


@dataclass(frozen=True)
class Owner:
    """Trains runs of one workspace under leases; `while_waiting` may raise to stop waiting for one."""

    store: SharedStore
    notify: Listener
    while_waiting: Callable[[], None] = lambda: None

    @property
    def backend(self) -> Backend:
        return self.store.connection.backend

    @property
    def seconds(self) -> float:
        """The length of a lease."""
        return self.store.connection.lease_seconds

    @contextmanager
    def training(self, run: Run) -> Iterator[Uploader]:
        """Own `run` while it is trained; the uploader, a listener, pushes it.

        Waits for a lease that has not expired, naming its holder. If the store does not answer, training goes on
        without it: with a warning, and only where this workspace has the run's checkpoints itself. Raises RunError
        where it has not, FinishedElsewhereError if the run is finished by then, LostLeaseError once another process
        has taken the run over.
        """
        attempt = self.store.ask(lambda backend: self._open(run), None)
        if attempt is None:
            self._check_is_here(run)
        uploader = Uploader(
            run,
            self.store.url,
            attempt,
            open_attempt=lambda: self._reopen(run),
            missing=lambda: self._unpushed(run),
            notify=self.notify,
            is_known_lost=self.store.is_lost,
            check_every=self.seconds / 3,
        )
        uploader.start()
        try:
            yield uploader
        finally:
            if uploader.finish():
                self._record(run).model_copy(update={"complete": True}).write(run.folder)
            else:
                self.store.connection.lost = self.store.connection.lost or uploader.trouble

    def push(self, run: Run) -> bool:
        """Push what the store lacks of a run that nobody trains now; returns whether the store has all of it.

        A run that was deleted from the store is not pushed. Raises StoreError if the store does not answer.
        """
        lease = self._lease_now(run, lambda holder: self._has_ended(run, holder))
        if not isinstance(lease, Lease):
            self.notify(Notice(f"{run.name} is being trained by {lease}; it is pushed from there"))
            return False
        try:
            listing, record = Listing(self.backend, run.name), self._record(run)
            if not listing.exists and was_deleted(self.backend, run):
                record.model_copy(update={"deleted": True}).write(run.folder)
                self.notify(
                    Notice(
                        f"{run.name} was deleted from {self.store.url}, and is not pushed again; to delete it here "
                        f"too, type: charpipe runs delete {run.name} --local"
                    )
                )
                return False
            if not is_ahead(listing, record):
                return self._push_results(run, listing, record, lease)
            attempt = self._own_attempt(run, listing, record, lease)
            for path in self._unpushed(run):
                attempt.push_checkpoint(path, step_of(path))
            attempt.push_records()
            attempt.keep_only({step_of(path) for path in run.checkpoints.glob("step-*")})
            self._record(run).model_copy(update={"complete": True}).write(run.folder)
            return True
        finally:
            lease.release()

    def _open(self, run: Run) -> Attempt:
        """The next attempt, with the checkpoint that it starts from in the run's folder."""
        lease = acquire(
            self.backend,
            lease_name(run.name),
            self.seconds,
            clock=self.store.connection.clock,
            on_wait=lambda holder: self.notify(Notice(f"train: waiting for {holder}")),
            while_waiting=self.while_waiting,
        )
        try:
            return self._begin(run, lease)
        except BaseException:
            lease.release()
            raise

    def _begin(self, run: Run, lease: Lease) -> Attempt:
        listing, record = Listing(self.backend, run.name), self._record(run)
        if not is_ahead(listing, record):
            check_same_run(self.backend, run)
            pull_records(self.backend, listing, run.folder)
            if run.status.state == "finished":
                raise FinishedElsewhereError(f"{run.name} was finished by another process meanwhile")
            step = pull_newest(self.backend, listing, run, self.notify)
        else:
            step = max((step_of(path) for path in run.checkpoints.glob("step-*")), default=0)
        return begin(self.backend, run, listing, lease, step)

    def _check_is_here(self, run: Run) -> None:
        """Raise RunError for a run that only the store has, which does not answer."""
        record = self._record(run)
        if record.attempt and not record.mine:
            raise RunError(
                f"{run.name} was trained on another machine, and its checkpoints cannot be fetched, since "
                f"{self.store.connection.lost}; nothing was changed; when the store answers again, type: "
                f"charpipe resume {run.name}"
            )

    def _reopen(self, run: Run) -> Attempt:
        """The next attempt, of a run that is being trained here already, once the store answers."""
        lease = self._lease_now(run)
        if not isinstance(lease, Lease):
            raise LostLeaseError(
                f"{run.name} is trained by {lease}, since the shared store did not answer here; nothing was written "
                f"there; type: charpipe resume {run.name}"
            )
        try:
            listing, record = Listing(self.backend, run.name), self._record(run)
            if not is_ahead(listing, record):
                raise LostLeaseError(
                    f"{run.name} was trained further on another machine, since the shared store did not answer here; "
                    f"nothing was written there; type: charpipe resume {run.name}"
                )
            step = max((step_of(path) for path in run.checkpoints.glob("step-*")), default=0)
            return begin(self.backend, run, listing, lease, step)
        except BaseException:
            lease.release()
            raise

    def _lease_now(
        self, run: Run, has_ended: Callable[[Holder], bool] = lambda holder: False
    ) -> Lease | Holder:
        """The run's lease, or whoever holds it. Raises StoreError."""
        clock, name = self.store.connection.clock, lease_name(run.name)
        return Acquisition(self.backend, name, self.seconds, clock=clock, has_ended=has_ended).attempt()

    def _has_ended(self, run: Run, holder: Holder) -> bool:
        """Whether the owner of a run's lease was a process of this workspace, which trains the run no more: it could
        not release the lease while the store did not answer, or was killed."""
        record = self._record(run)
        attempt = Listing(self.backend, run.name).attempt(record.attempt) if record.mine else None
        if attempt is None or (attempt.token, attempt.fence) != (record.token, holder.fence):
            return False
        return not run.is_locked()  # looked at last: a training that starts meanwhile has a higher fence

    def _own_attempt(self, run: Run, listing: Listing, record: SharedRecord, lease: Lease) -> Attempt:
        """The attempt of this workspace to add to; a new one if the store has none of this run yet."""
        if record.attempt and record.attempt == listing.newest:
            return Attempt(self.backend, run, record.attempt, lease)
        return begin(self.backend, run, listing, lease, 0)

    def _push_results(self, run: Run, listing: Listing, record: SharedRecord, lease: Lease) -> bool:
        """Push new scores of a finished run that was trained elsewhere, if nobody wrote to it since it was fetched."""
        check_same_run(self.backend, run)
        if record.mine:
            self.notify(Notice(f"{run.name} was trained further on another machine, and that counts"))
        elif record.changed == listing.changed and run.status.state == "finished":
            Attempt(self.backend, run, listing.newest, lease).push_records()
            changed = Listing(self.backend, run.name).changed
            record.model_copy(update={"changed": changed}).write(run.folder)
        return True

    def _unpushed(self, run: Run) -> Iterator[Path]:
        """The last and the best checkpoint, as far as the store lacks them."""
        there = {stored.step for stored in Listing(self.backend, run.name).checkpoints()}
        status = run.status
        for entry in (status.last, status.best):
            if entry is not None and int(entry["step"]) not in there:
                folder = run.folder / str(entry["path"])
                if folder.is_dir():
                    there.add(int(entry["step"]))
                    yield folder

    def _record(self, run: Run) -> SharedRecord:
        """The run's record of this store; without one, an empty record."""
        return read_record(run.folder, self.backend.url) or SharedRecord(store=self.backend.url)


def check_same_run(backend: Backend, run: Run) -> None:
    """Raise RunError if the store's run of this name is another one."""
    there = read_json(backend, f"runs/{run.name}/run.json")
    if there.get("created") != run.info.created:
        raise RunError(
            f"another run in {backend.url} is named {run.name}; it is left as it is, and the one here stays here"
        )


def is_ahead(listing: Listing, record: SharedRecord) -> bool:
    """Whether a run's folder with this record holds the newest attempt, so that the store's copy is older."""
    if not record.mine:
        return not listing.exists
    if listing.newest != record.attempt:
        return listing.newest < record.attempt  # the attempt never arrived
    there = listing.attempt(listing.newest)
    return there is not None and there.token == record.token
