"""Which results of a local store some shared store does not have yet. It imports nothing of shared stores."""

from __future__ import annotations

from pathlib import Path


def unpushed_actions(root: Path) -> set[str]:
    """The actions of the local store at `root` whose results some shared store does not have yet."""
    return {path.name for path in root.glob("shared/*/unpushed/*")}
