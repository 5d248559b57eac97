"""Read the new lines of a growing JSON-lines file; an incomplete line is read once it is complete."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Tail:
    """A position in a file. `lines` yields the same lines again until `advance` is called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done = self._read = 0
        self._file: int | None = None

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the complete lines after the position, as objects that have a `step`; damaged lines are skipped."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            if (number := os.fstat(file.fileno()).st_ino) != self._file:
                self._file, self._done = (
                    number,
                    0,
                )  # rewritten: a resumed run drops the lines of steps that it will repeat
            self._read = self._done
            file.seek(self._done)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                value = _parse(line)
                if value is not None:
                    yield value

    def advance(self) -> None:
        """Mark the lines that were read as processed."""
        self._done = self._read


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("step"), int) else None
