"""An attempt to train a run: the one part of the shared store that its process writes to."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from charpipe.errors import StoreError
from charpipe.runs.annotations import FILE as ANNOTATIONS
from charpipe.runs.folder import Run
from charpipe.runs.mirror.layout import RECORDS, AttemptRecord, Listing, deletion_key
from charpipe.runs.shared_record import SharedRecord
from charpipe.store.backends.backend import Backend
from charpipe.store.holders import this_process
from charpipe.store.leases import Lease
from charpipe.store.manifest import NAME as MANIFEST
from charpipe.store.manifest import read_manifest


class Attempt:
    """Writes one attempt of a run. Before every write it checks the lease, which raises LostLeaseError once another
    process has it."""

    def __init__(self, backend: Backend, run: Run, number: int, lease: Lease) -> None:
        self._backend, self._run, self.number, self._lease = backend, run, number, lease
        self.prefix = f"runs/{run.name}/attempt-{number}/"
        self._indexed: str | None = None
        """The action under which the index has the run."""

    def check(self) -> None:
        """Raise unless this process still owns the run; see `Lease.check`."""
        self._lease.check()

    def release(self) -> None:
        """Give the run free for others."""
        self._lease.release()

    def push_checkpoint(self, folder: Path, step: int) -> None:
        """Write a checkpoint: its files, then the records that belong to it, and the manifest last."""
        manifest = read_manifest(folder)
        key = f"{self.prefix}checkpoints/step-{step:08d}"
        for name in manifest.files:
            self._upload(f"{key}/{name}", folder / name)
        self.push_records()  # those that a resumed training rewinds to are at least as new as the checkpoint
        self._upload(f"{key}/{MANIFEST}", folder / MANIFEST)

    def push_records(self) -> None:
        """Write the small files: metrics, samples, results, and the status last."""
        self._index()
        results = sorted(
            path.relative_to(self._run.folder) for path in self._run.folder.glob("results/*.json")
        )
        names = [*map(str, results), *sorted(RECORDS, key="status.json".__eq__)]
        with tempfile.TemporaryDirectory(dir=self._run.folder, prefix=".pushing-") as temporary:
            for name in names:
                copy = Path(temporary) / Path(name).name
                if _copy_lines(self._run.folder / name, copy):
                    self._upload(f"{self.prefix}{name}", copy)

    def keep_only(self, steps: Iterable[int]) -> None:
        """Remove this attempt's other checkpoints but the newest two, each manifest first.

        The second is the one to fall back to if the newest is damaged. Training may have removed it already: a slow
        store gets only some of the checkpoints.
        """
        kept, listing = set(steps), Listing(self._backend, self._run.name)
        for step in listing.steps(self.number)[:-2]:
            if step not in kept:
                manifest, *others = listing.files_of(self.number, step)
                self._lease.check()
                self._backend.delete([manifest])
                self._lease.check()
                self._backend.delete(others)

    def _index(self) -> None:
        """Add the run to the index of its action, which changes where it is resumed with other settings."""
        action = self._run.info.action
        if action != self._indexed:
            self._lease.check()
            entry = json.dumps({"run": self._run.name}).encode()
            self._backend.create(f"index/runs-by-action/{action}/{self._run.name}.json", entry)
            annotations = self._run.folder / ANNOTATIONS
            if annotations.is_file():  # given before the store had the run; what is there already is newer
                self._backend.create(f"runs/{self._run.name}/{ANNOTATIONS}", annotations.read_bytes())
            self._indexed = action

    def _upload(self, key: str, path: Path) -> None:
        self._lease.check()
        self._backend.upload(key, path)


def begin(backend: Backend, run: Run, listing: Listing, lease: Lease, step: int) -> Attempt:
    """Begin the next attempt, which starts from the checkpoint of `step` (0: from none); the caller holds the lease.

    A run that is not in the store yet is created. The run's folder first records the attempt as its own, so that it is
    recognised wherever this process ends. Raises StoreError.
    """
    record = AttemptRecord(
        number=listing.newest + 1,
        fence=lease.fence,
        holder=str(this_process(lease.fence, 0.0)),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        step=step,
        token=os.urandom(8).hex(),
    )
    SharedRecord(store=backend.url, attempt=record.number, token=record.token, mine=True).write(run.folder)
    if not listing.exists:
        publish_request(backend, run, lease)
    lease.check()
    key = f"runs/{run.name}/attempt-{record.number}/attempt.json"
    if backend.create(key, json.dumps(record.to_json(), indent=2).encode()) is None:
        raise StoreError(f"attempt {record.number} of {run.name} was begun by another process")
    attempt = Attempt(backend, run, record.number, lease)
    attempt.push_records()
    return attempt


def publish_request(backend: Backend, run: Run, lease: Lease) -> None:
    """Create the run in the store: its vocabulary, its index entries, and run.json last. It may have been deleted there
    before.

    Raises StoreError if another run has its name.
    """
    info, request = run.info, (run.folder / "run.json").read_bytes()
    entry = {
        "run": run.name,
        "corpus": info.corpus,
        "architecture": info.architecture,
        "action": info.action,
        "created": info.created,
        "pipeline": info.request.get("pipeline"),
    }
    data = json.dumps(entry, indent=2, ensure_ascii=False).encode()
    prefix = f"runs/{run.name}/"
    lease.check()
    backend.delete([deletion_key(run.name)])
    for key, content in (
        (f"{prefix}vocabulary.json", run.vocabulary_file.read_bytes()),
        (f"index/runs-by-action/{info.action}/{run.name}.json", data),
        (f"index/runs/{run.name}.json", data),
        (f"{prefix}run.json", request),
    ):
        lease.check()
        if backend.create(key, content) is None:
            there = backend.read(key)
            if there is None or there.data != content:
                raise StoreError(f"another run in {backend.url} is named {run.name}")


def _copy_lines(path: Path, copy: Path) -> bool:
    """Copy a small file as it is now, without a last line that is still being written; whether there is one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    if path.suffix == ".jsonl":
        data = data[: data.rfind(b"\n") + 1]
    copy.write_bytes(data)
    return True


def snapshot(checkpoint: Path, folder: Path) -> Path:
    """A copy of a checkpoint in `folder`, by hard links where the file system has them: it stays when training removes
    the checkpoint."""
    target = folder / checkpoint.name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in checkpoint.iterdir():
        try:
            (target / path.name).hardlink_to(path)
        except OSError:
            shutil.copyfile(path, target / path.name)
    return target
