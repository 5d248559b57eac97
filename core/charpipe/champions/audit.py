"""The audit log of every decision about a corpus's champion, promoted or not: append-only, one JSON object per line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from charpipe.champions.state import champion_folder, read_state
from charpipe.errors import RunError, StoreError
from charpipe.store.digest import digest_of_json
from charpipe.workspace import Workspace


def decisions(workspace: Workspace, corpus: str) -> list[dict[str, Any]]:
    """Every decision, oldest first. Includes the decision behind the current champion even if the process ended
    between carrying it out and logging it."""
    found = _lines(champion_folder(workspace, corpus) / "audit.jsonl")
    try:
        state = read_state(workspace, corpus)
    except RunError:
        state = None
    if state is not None and all(line.get("digest") != state.decision.get("digest") for line in found):
        found.append(state.decision)
    return found


def sealed(line: dict[str, Any]) -> dict[str, Any]:
    """The line with its own digest, which a champion's record refers to."""
    return {**line, "digest": digest_of_json(line)}


def append(workspace: Workspace, corpus: str, line: dict[str, Any]) -> None:
    """Append a line durably (fsync), unless a line with its digest is already there. Raises StoreError."""
    path = champion_folder(workspace, corpus) / "audit.jsonl"
    if any(known.get("digest") == line["digest"] for known in _lines(path)):
        return
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


def _last_byte(file: Any) -> bytes:
    file.seek(-1, os.SEEK_END)
    last: bytes = file.read(1)
    return last


def _lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines; torn or damaged ones are skipped."""
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
        if isinstance(value, dict) and isinstance(value.get("digest"), str):
            found.append(value)
    return found
