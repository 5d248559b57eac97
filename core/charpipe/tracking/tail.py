"""The lines that a growing JSON-lines file has gained; a line still being written waits for its end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Tail:
    """A place in a file. `lines` may be read again until `advance` says that they were dealt with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done = self._read = 0
        self._file: int | None = None

    def lines(self) -> Iterator[dict[str, Any]]:
        """The whole lines after the place, as objects that have a `step`; a damaged line is passed over."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            if (number := os.fstat(file.fileno()).st_ino) != self._file:
                self._file, self._done = (
                    number,
                    0,
                )  # written anew: a resumed run takes back what it will repeat
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
        """What was read is dealt with."""
        self._done = self._read


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("step"), int) else None
