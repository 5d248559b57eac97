"""The promotion decision about the model of a run: promoted or not, and why."""

from __future__ import annotations

from charpipe.champions import decisions
from charpipe.errors import CharpipeError
from charpipe.runs import Run
from charpipe.workspace import Workspace


def decided(workspace: Workspace, run: str) -> str | None:
    """`promoted: better by 0.02 ...` or `the champion stays: ...`; None without a decision about this run."""
    try:
        corpus = Run(workspace.runs / run).info.corpus
        lines = [line for line in decisions(workspace, corpus) if line.get("run") == run]
    except (CharpipeError, OSError, ValueError):
        return None
    if not lines:
        return None
    verdict = "promoted" if lines[-1].get("promoted") else "the champion stays"
    return f"{verdict}: {lines[-1].get('reason', '')}"
