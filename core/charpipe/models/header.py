"""The header of a safetensors file: the names, types and shapes of its tensors, read before anything is allocated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from charpipe.errors import RunError

LARGEST_HEADER = 16 << 20


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: name -> {"dtype", "shape", "data_offsets"}.

    Raises RunError if there is no valid header.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 10 or not 2 <= length <= min(size - 8, LARGEST_HEADER):
                raise RunError(f"{path} is not a safetensors file; nothing was loaded")
            header = json.loads(file.read(length))
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise RunError(f"{path} is not a safetensors file; nothing was loaded") from error
    if not isinstance(header, dict):
        raise RunError(f"{path} is not a safetensors file; nothing was loaded")
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if not (isinstance(entry, dict) and isinstance(entry.get("dtype"), str)):
            raise RunError(f"{path} says nothing usable about {name!r}; nothing was loaded")
    return header
