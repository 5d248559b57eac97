"""SHA-256 digests, in hex, of a file, a JSON value, or the code of a Python package."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any


def digest_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_json(value: Any) -> str:
    """The SHA-256 of a JSON value in canonical form: sorted keys, no spaces, NaN is an error."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_package(module: str) -> str:
    """The digest of all Python files of an importable package or module, found without importing it.

    It depends on paths and source bytes only, not on file times or compiled files.
    """
    spec = importlib.util.find_spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        return digest_of_json(module)
    origin = Path(spec.origin)
    if not spec.submodule_search_locations:
        return digest_of_json({origin.name: digest_of_file(origin)})
    folder = origin.parent
    files = sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)
    return digest_of_json({path.relative_to(folder).as_posix(): digest_of_file(path) for path in files})
