"""What can be wrong with a cell: a broken rule, or an operation that the kernels do not know."""

from __future__ import annotations

import sys
from pathlib import Path

from charpipe.errors import PluginError

PACKAGE = str(Path(__file__).parent)


class CellError(PluginError):
    """A cell breaks a rule: it names the class, the line and the rule."""


class UncompilableError(Exception):
    """A cell's step uses an operation that the kernels do not know. Such a cell trains by PyTorch; the message names
    the operation and the line."""


def author_line() -> str:
    """Where the code outside of this package is that is being run: `model.py, line 12`."""
    frame = sys._getframe(1)
    while frame is not None and _is_library(frame.f_code.co_filename):
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return "an unknown line"
    return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"


def _is_library(path: str) -> bool:
    return path.startswith((PACKAGE, "<")) or "/torch/" in path
