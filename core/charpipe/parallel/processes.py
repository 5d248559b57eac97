"""Worker processes on this machine.

They are new Python processes rather than forks, because threads of PyTorch and Arrow do not survive a fork, and they do
not import the program's main module, so that a script needs no `if __name__ == "__main__"`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any, Self

from charpipe.errors import CharpipeError
from charpipe.parallel.mapping import DIRECT, Function, ParallelMap, in_order
from charpipe.parallel.messages import exception, name_of

MOST = 8
"""Processes that are started unless the settings name another number."""
ENOUGH_BYTES = 256 * 10**6
"""A smaller corpus is not worth starting processes for, unless the settings say so."""
WAIT_SECONDS = 0.2
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from charpipe.parallel.worker import main; main()"
)


def choose_processes(wanted: int | None, size: int) -> int:
    """How many processes read a corpus of `size` bytes: the number `wanted`, or as many as there are cores for a
    large corpus."""
    if wanted is not None:
        return wanted
    return min(_cores(), MOST) if size >= ENOUGH_BYTES else 1


@contextlib.contextmanager
def local_processes(processes: int, *, reads: Path | None = None) -> Iterator[ParallelMap]:
    """A map that uses so many processes of this machine, whatever its calls read and write; one is this process."""
    if processes == 1:
        yield DIRECT
        return
    with Processes(processes) as workers:
        yield workers


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes:
    """A map over worker processes, which start with the first call and end with the `with` block."""

    shares_files = True

    def __init__(self, count: int) -> None:
        self.processes = count
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        self._started: list[_Worker] = []
        self._lock = threading.Lock()
        self._ended = False
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="worker-process")
        for _ in range(count):
            self._idle.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._ended = True
            started = list(self._started)
        for worker in started:
            worker.end()
        self._threads.shutdown(cancel_futures=True)

    def map(
        self,
        function: Function,
        arguments: Iterable[Mapping[str, Any]],
        waiting: Callable[[], None] = lambda: None,
        ahead: int = 0,
    ) -> Iterator[Any]:
        """See `ParallelMap.map`."""
        pending: deque[Future[Any]] = deque()
        name = name_of(function)
        calls = (self._threads.submit(self._call, name, dict(each)) for each in arguments)
        most = 2 * self.processes + ahead
        try:
            yield from in_order(
                calls, pending, lambda call: call.done(), lambda call: _result(call, waiting), most, waiting
            )
        finally:
            for future in pending:
                future.cancel()

    def _call(self, function: str, arguments: dict[str, Any]) -> Any:
        worker = self._idle.get()
        try:
            if worker is None:
                worker = self._start()
            return worker.call(function, arguments)
        finally:
            self._idle.put(worker)

    def _start(self) -> _Worker:
        with self._lock:
            if self._ended:
                raise CharpipeError("the work was stopped")
            worker = _Worker()
            self._started.append(worker)
        return worker


def _result(future: Future[Any], waiting: Callable[[], None]) -> Any:
    while True:
        waiting()
        try:
            return future.result(timeout=WAIT_SECONDS)
        except NotYet:
            if future.done():
                raise


class _Worker:
    """One worker process, which carries out one call at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches this process alone, which ends the others
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._calls, self._results = self._process.stdin, self._process.stdout
        self._send(sys.path)

    def call(self, function: str, arguments: dict[str, Any]) -> Any:
        """Call the function in the process. Raises what it raises, and CharpipeError if the process dies."""
        try:
            self._send({"function": function, "arguments": arguments})
            line = self._results.readline()
        except (OSError, ValueError):
            line = b""
        if not line.endswith(b"\n"):
            raise CharpipeError(_died(self._process.wait()))
        message = json.loads(line)
        if "error" in message:
            raise exception(message)
        return message["result"]

    def _send(self, value: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # then there is no result either
            self._calls.write(json.dumps(value).encode() + b"\n")
            self._calls.flush()

    def end(self) -> None:
        """End the process at once; it has nothing to save."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._calls.close()
        self._results.close()


def _died(status: int) -> str:
    how = f"ended with exit code {status}"
    if status < 0:
        how = f"was killed by {signal.Signals(-status).name}"
    return (
        f"a worker process {how}; nothing was kept. Type the same command again, or, if memory is short, with "
        "--set corpus.processes=1"
    )
