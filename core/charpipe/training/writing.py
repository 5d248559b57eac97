"""Checkpoints are written while training goes on: one at a time, by a thread of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from charpipe.events import Checkpointed, CheckpointStarted, Event
from charpipe.training.checkpoints import Snapshot, clear_halves


class Writer:
    """Writes snapshots into `folder`, in order. What goes wrong is raised where the training asks how it went."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        clear_halves(folder)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self.seconds = 0.0
        """That the latest checkpoint took to write."""
        self._writing: tuple[Snapshot, Future[Path]] | None = None

    def begin(self, snapshot: Snapshot) -> Iterator[Event]:
        """Write `snapshot`, once the one before is on disk. Raises RunError if the disk refused that."""
        yield from self.written(wait=True)
        yield CheckpointStarted(snapshot.step)  # what listeners keep for it is there before it can be
        self._writing = (snapshot, self._thread.submit(self._write, snapshot))

    def written(self, *, wait: bool = False) -> Iterator[Event]:
        """The checkpoint that has come to lie on disk since the last time. Raises RunError if the disk refused it."""
        if self._writing is None:
            return
        snapshot, done = self._writing
        if wait or done.done():
            self._writing = None
            yield Checkpointed(snapshot.step, str(done.result()), snapshot.best)

    def _write(self, snapshot: Snapshot) -> Path:
        began = time.perf_counter()
        path = snapshot.save(self._folder)
        self.seconds = time.perf_counter() - began
        return path

    def end(self) -> None:
        """Wait for what is being written; nothing is raised."""
        self._thread.shutdown(wait=True)
