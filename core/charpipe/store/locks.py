"""Locks between processes: one builds an action, the others wait and are told which process holds the lock.

A crash releases the lock.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from charpipe.store.command_line import command_line

POLL_SECONDS = 0.2


def _holder(path: Path) -> str:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return f"process {value['pid']} ({value['command']})"
    except (OSError, ValueError, KeyError):
        return "another process"


@contextmanager
def exclusive(
    path: Path,
    on_wait: Callable[[str], None] = lambda holder: None,
    while_waiting: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold the lock at `path`, waiting without a timeout.

    `on_wait` is called once with a description of the holder; `while_waiting` is called every POLL_SECONDS, and may
    raise to stop waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, note = FileLock(path), path.with_suffix(".holder")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait(_holder(note))
        while not lock.is_locked:
            while_waiting()
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=POLL_SECONDS)
    try:
        note.write_text(json.dumps({"pid": os.getpid(), "command": command_line()}), encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()
