"""Append-only files with one JSON object per line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from charpipe.errors import StoreError


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Append a line durably (fsync), on a line of its own even if the file ends in a torn one. Raises StoreError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            torn = file.tell() > 0 and _last_byte(file) != b"\n"  # a process ended while writing
            text = json.dumps(line, ensure_ascii=False, allow_nan=False)
            file.write(b"\n" * torn + text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The complete objects; torn or damaged lines are skipped."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for line in data.split(b"\n"):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    last: bytes = file.read(1)
    return last
