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
    """Note the start; then wait until told to stop or released, die, fail, or be done at once.

    The file `released` holds how many of the starts, counted in `notes.txt`, need not wait."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    notes = Path(workspace) / "notes.txt"
    with notes.open("a") as file:
        file.write("began\n")
    if options.get("die") and notes.read_text().count("began") <= options["die"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if options.get("fail"):
        raise RuntimeError("as it was told")
    start, released = notes.read_text().count("began"), Path(workspace) / "released"
    while (
        options.get("waits") and not told and not (released.exists() and int(released.read_text()) >= start)
    ):
        time.sleep(0.05)
    if told:
        with notes.open("a") as file:
            file.write("saved\n")
        return Cancelled(message="saved")
    return "done"
