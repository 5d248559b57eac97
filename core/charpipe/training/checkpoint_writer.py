"""Writes checkpoints in a thread of its own while training continues, one at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from charpipe.events import Checkpointed, CheckpointStarted, Event
from charpipe.training.checkpoints import remove_incomplete
from charpipe.training.snapshot import Snapshot


class CheckpointWriter:
    """Writes snapshots into `folder`, in order. `start` and `completed` raise what went wrong in the thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        remove_incomplete(folder)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self.seconds = 0.0
        """How long the latest checkpoint took to write."""
        self._writing: tuple[Snapshot, Future[Path]] | None = None

    def start(self, snapshot: Snapshot) -> Iterator[Event]:
        """Start writing `snapshot`, once the one before is on disk. Raises RunError if that could not be written."""
        yield from self.completed(wait=True)
        yield CheckpointStarted(snapshot.step)  # listeners record what belongs to it before it exists
        self._writing = (snapshot, self._thread.submit(self._write, snapshot))

    def completed(self, *, wait: bool = False) -> Iterator[Event]:
        """`Checkpointed`, if a checkpoint was completed since the last call. With `wait`, await the one being written.

        Raises RunError if it could not be written.
        """
        if self._writing is None:
            return
        snapshot, done = self._writing
        if wait or done.done():
            self._writing = None
            yield Checkpointed(snapshot.step, str(done.result()), snapshot.best)

    def _write(self, snapshot: Snapshot) -> Path:
        started = time.perf_counter()
        path = snapshot.save(self._folder)
        self.seconds = time.perf_counter() - started
        return path

    def close(self) -> None:
        """Wait for the checkpoint that is being written. Raises nothing."""
        self._thread.shutdown(wait=True)
