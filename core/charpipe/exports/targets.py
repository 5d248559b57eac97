"""Where an export is written: never over what is there, unless that is asked for."""

from __future__ import annotations

import re
from pathlib import Path

from charpipe.errors import UsageError

SUFFIXES = {"folder": "", "html": ".html", "onnx": ".onnx"}
"""The suffix of what is written, by form."""


def target(out: str | Path | None, name: str, form: str, *, force: bool = False) -> Path:
    """The path to write to: `out`, or the run's name in the working directory. Raises UsageError if it cannot be."""
    place = Path(out).expanduser() if out is not None else Path(_file_name(name) + SUFFIXES[form])
    if form != "folder" and place.is_dir():
        place /= _file_name(name) + SUFFIXES[form]
    if form == "folder" and place.exists() and not place.is_dir():
        raise UsageError(f"{place} is a file; give the name of a folder with --out")
    if place.exists() and not force and not (place.is_dir() and not any(place.iterdir())):
        raise UsageError(f"{place} exists already; give another --out, or --force to replace it")
    return place


def _file_name(name: str) -> str:
    """The name of a run as a file name: that of a downloaded model may be `champion:CORPUS`."""
    return re.sub(r"[/:\\\s]+", "-", name).strip(".-") or "model"
