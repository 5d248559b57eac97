"""Which names of models are paths: of folders that models were exported to."""

from __future__ import annotations

PREFIXES = ("best:", "champion:", "previous:")
"""What is behind these is a corpus, whose name may be a path."""


def is_path(wanted: str) -> bool:
    """Whether a name is the path of a folder: it has a slash. A folder here is `./NAME`."""
    return "/" in wanted and not wanted.startswith(PREFIXES)
