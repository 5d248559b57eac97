"""SIGINT and SIGTERM become a request to stop: training saves first. A second one stops at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from charpipe.events import Listener, Notice
from charpipe.stages.stop import Stop

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def until_done(work: Callable[[], T], stop: Stop, emit: Listener, *, twice: bool = True) -> T:
    """Do `work` in a thread of its own, while this one, the main thread, listens for signals.

    Where `twice` is false, a second signal changes nothing: a launcher that gets Ctrl-C sends SIGTERM after it, and
    SIGKILL in the end.

    Returns what `work` returns and raises what it raises.
    """
    outcome: dict[str, Any] = {}

    def body() -> None:
        try:
            outcome["result"] = work()
        except BaseException as error:
            outcome["error"] = error

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.event.is_set():
            if twice:
                os._exit(128 + number)
            return
        stop.request(number)
        more = " (Ctrl-C again stops at once)" if twice else ""
        emit(Notice(f"stopping: the work done so far is being saved{more}", "warning"))

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        worker = threading.Thread(target=body, name="charpipe", daemon=True)
        worker.start()
        while worker.is_alive():
            worker.join(0.1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if "error" in outcome:
        raise outcome["error"]
    result: T = outcome["result"]
    return result
