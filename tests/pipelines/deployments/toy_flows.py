"""A flow that does what its options say, for the dispatcher to carry out: nothing of charpipe is in it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.states import Cancelled


@flow(name="toy", validate_parameters=False, persist_result=False)
def toy(options: dict[str, Any], settings: dict[str, Any], workspace: str) -> Any:
    """Note the start; then sleep until told to stop, die, fail, or be done at once."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    notes = Path(workspace) / "notes.txt"
    with notes.open("a") as file:
        file.write("began\n")
    if options.get("die") and notes.read_text().count("began") <= options["die"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if options.get("fail"):
        raise RuntimeError("as it was told")
    until = time.monotonic() + options.get("seconds", 0)
    while time.monotonic() < until and not told:
        time.sleep(0.05)
    if told:
        with notes.open("a") as file:
            file.write("saved\n")
        return Cancelled(message="saved")
    return "done"
