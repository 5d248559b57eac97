"""The audit log of every decision about a corpus's champion, promoted or not: append-only, one JSON object per line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charpipe.champions.state import champion_folder, read_state
from charpipe.errors import RunError
from charpipe.store.digest import digest_of_json
from charpipe.store.json_lines import append_line, read_lines
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
    append_line(path, line)


def _lines(path: Path) -> list[dict[str, Any]]:
    """The complete lines; torn or damaged ones are skipped."""
    return [line for line in read_lines(path) if isinstance(line.get("digest"), str)]
