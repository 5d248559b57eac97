"""A worker process: reads calls from standard input, and writes their results to standard output."""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from typing import BinaryIO

from charpipe.parallel.messages import error_message, function_named


def main() -> None:
    """Carry out calls until standard input ends, as it does when the process that started this one is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a plugin prints does not get between the results
    calls: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, calls), daemon=True).start()
    while True:
        call = json.loads(calls.get())
        try:
            message = {"result": function_named(call["function"])(**call["arguments"])}
        except BaseException as error:  # the other process raises it
            message = error_message(error)
        results.write(json.dumps(message).encode() + b"\n")
        results.flush()


def _read(stream: BinaryIO, calls: queue.Queue[bytes]) -> None:
    for line in stream:
        calls.put(line)
    os._exit(0)
