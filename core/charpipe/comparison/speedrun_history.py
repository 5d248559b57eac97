"""A workspace's speedruns: what was measured, on which machine, with which versions; append-only."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from charpipe.models.engine.other_programs import cores_here
from charpipe.models.precision import choose_device
from charpipe.store.json_lines import append_line, read_lines
from charpipe.workspace import Workspace

FILE = "speedruns.jsonl"
SAME = ("corpus", "tokens", "machine", "budget")
"""What two speedruns have in common where their losses can be compared."""
EARLIER = 5
"""Earlier results that are shown."""


def machine(device: str) -> dict[str, Any]:
    """This machine: its processor, the cores that this process may use, and the device that trains."""
    found = choose_device(device)
    name = torch.cuda.get_device_name(found) if found.type == "cuda" else found.type
    return {"processor": _processor(), "cores": cores_here(), "device": name}


def record(workspace: Workspace, speedrun: dict[str, Any]) -> None:
    """Append a speedrun, unless one of the same trainings is there. Raises StoreError."""
    if all(known.get("runs") != speedrun["runs"] for known in read_lines(workspace.root / FILE)):
        append_line(workspace.root / FILE, speedrun)


def earlier(workspace: Workspace, speedrun: dict[str, Any]) -> list[dict[str, Any]]:
    """The best entries of earlier speedruns of the same text, machine and budget, lowest validation loss first, each
    with its `when`, `charpipe` and `torch`."""
    same = [
        known
        for known in read_lines(workspace.root / FILE)
        if all(known.get(key) == speedrun[key] for key in SAME) and known.get("runs") != speedrun["runs"]
    ]
    found = [entry for known in same for entry in _entries(known)]
    return sorted(found, key=lambda entry: float(entry["val_loss"]))[:EARLIER]


def _entries(speedrun: dict[str, Any]) -> Iterator[dict[str, Any]]:
    about = {key: speedrun.get(key, "") for key in ("when", "charpipe", "torch")}
    for entry in speedrun.get("entries", ()):
        if entry.get("val_loss") is not None:
            yield entry | about


def _processor() -> str:
    """The processor's name: of Linux's list of processors, or else as Python knows it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
