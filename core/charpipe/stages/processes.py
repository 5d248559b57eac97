"""Makes a call of a stage in a process of its own, which is sent the call as JSON and sends its events back.

The process is `python -m MODULE` (see `Remote`). It reads one JSON object, the request, from its standard input, and
writes one JSON object a line to its standard output: `{"event": ...}` for an event, and last `{"result": ...}`,
`{"stopped": ...}` or `{"reason": ...}`. SIGTERM asks it to save and stop; so does the end of its standard input, which
comes when this process has ended without asking.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import IO, Any

from charpipe.errors import InterruptedRun
from charpipe.events import Event, Listener, Notice, OfTrial, StageFailed, TrainingStarted, event_from_json
from charpipe.stages.context import Context
from charpipe.stages.executors import Arguments
from charpipe.stages.stage import Stage
from charpipe.stages.stop import Stop

POLL_SECONDS = 0.1
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class InProcess:
    """Makes a call in a process of its own with `threads` threads; one whose work is done already is looked up here.

    With several `gpus`, each process has one of them. The notices are sent before the first process is started.
    """

    def __init__(self, threads: int, gpus: int = 0, notices: Sequence[Notice] = ()) -> None:
        self._threads, self._notices = threads, deque(notices)
        self._gpus: queue.SimpleQueue[int] | None = None
        if gpus > 1:
            self._gpus = queue.SimpleQueue()
            for number in range(gpus):
                self._gpus.put(number)

    def __call__(self, stage: Stage[..., Any], context: Context, arguments: Arguments) -> Any:
        context.check_stop(stage.label(*arguments))
        if context.dry_run:
            return stage.carry_out(context, *arguments)
        assert stage.remote is not None, f"the stage {stage.name} cannot be run in another process"
        known = known_result(stage, context, arguments)
        if known is not None:
            return known
        with suppress(IndexError):
            while True:
                context.emit(self._notices.popleft())
        request = stage.remote.request(context, *arguments) | {"threads": self._threads}
        with self._one_gpu() as variables:
            outcome = run_process(
                stage.remote.module,
                request,
                named(stage.label(*arguments), context.emit),
                context.stop,
                variables,
            )
        return concluded(stage, context, arguments, outcome)

    @contextmanager
    def _one_gpu(self) -> Iterator[dict[str, str]]:
        if self._gpus is None:
            yield {}
            return
        number = self._gpus.get()
        try:
            yield {"CUDA_VISIBLE_DEVICES": str(number)}
        finally:
            self._gpus.put(number)


@dataclass(frozen=True)
class Outcome:
    """How a process ended: with a `result` (JSON); because it was `stopped`, with a message; or it died for a `reason`.
    `run` is the run that it trained last."""

    result: Mapping[str, Any] | None = None
    stopped: str | None = None
    reason: str = ""
    run: str = ""


def known_result(stage: Stage[..., Any], context: Context, arguments: Arguments) -> Any:
    """The result of a call whose work is done already, or None; nothing is reported in that case."""
    heard: list[Event] = []
    found = stage.carry_out(replace(context, dry_run=True, emit=heard.append), *arguments)
    if stage.remote is None or not stage.remote.is_done(found):
        return None
    for event in heard:
        context.emit(event)
    return found


def named(name: str, listener: Listener) -> Listener:
    """A listener that marks events of a training as those of the trial `name`."""

    def emit(event: Event) -> None:
        own = hasattr(event, "stage") or hasattr(event, "message")
        listener(event if own else OfTrial(name, event))

    return emit


def concluded(stage: Stage[..., Any], context: Context, arguments: Arguments, outcome: Outcome) -> Any:
    """The result of a call, from the outcome of its process. Raises InterruptedRun if it was stopped."""
    assert stage.remote is not None
    if outcome.result is not None:
        return stage.remote.result(outcome.result)
    if outcome.stopped is not None or context.stop.event.is_set():
        message = outcome.stopped or f"stopped in {stage.label(*arguments)}; type the same command again"
        raise InterruptedRun(message, context.stop.signal)
    context.emit(StageFailed(stage.label(*arguments), outcome.reason))
    return stage.remote.failed(outcome.reason, outcome.run, *arguments)


def run_process(
    module: str,
    request: Mapping[str, Any],
    emit: Listener,
    stop: Stop,
    variables: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a request in a process of its own, in the folder `request["folder"]`; returns once it has ended."""
    threads = str(request["threads"])
    environ = os.environ | dict.fromkeys(THREAD_VARIABLES, threads) | dict(variables or {})
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=request["folder"],
            env=environ,
            start_new_session=True,  # Ctrl-C in the terminal reaches it through this process only
        )
        assert process.stdin is not None and process.stdout is not None
        watcher = threading.Thread(target=_forward_stop, args=(process, stop), daemon=True)
        watcher.start()
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            found = _read(process.stdout, emit)
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
            process.stdout.close()
        if found.result is None and found.stopped is None and not found.reason:
            return replace(found, reason=_death(process.returncode, errors))
        return found


def _read(lines: IO[bytes], emit: Listener) -> Outcome:
    outcome = Outcome()
    for line in lines:
        with suppress(ValueError):  # a line cut by the death of the process
            value = json.loads(line)
            if "event" not in value:
                outcome = replace(outcome, **value)
                continue
            event = event_from_json(value)
            if isinstance(event, TrainingStarted):
                outcome = replace(outcome, run=event.run)
            if event is not None:
                emit(event)
    return outcome


def _forward_stop(process: subprocess.Popen[bytes], stop: Stop) -> None:
    while process.poll() is None:
        if stop.event.is_set():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            return
        threading.Event().wait(POLL_SECONDS)


def _death(code: int, errors: IO[bytes]) -> str:
    """Why a process ended without a result, in a sentence."""
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the machine may be out of memory" if -code == signal.SIGKILL else ""
        return f"its process was killed by {name}{hint}"
    errors.seek(0)
    last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
    return f"its process ended with exit code {code}" + (f": {last[0][:200]}" if last else "")
