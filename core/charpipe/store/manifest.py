"""Manifests: the list of an object's files. It is written last, so an object without one is incomplete."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charpipe.errors import StoreError
from charpipe.store.atomic import write_json
from charpipe.store.digest import digest_of_file, digest_of_json

NAME = "manifest.json"
SMALL = 1 << 20
"""Files up to this many bytes are hashed on every use of an object; of larger ones only the size is checked."""


@dataclass(frozen=True)
class Manifest:
    """`files`: relative path -> {"bytes": n, "sha256": hex}; `facts`: what the stage reports about its result."""

    schema: str
    files: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The content digest; it does not depend on where or when the content was made."""
        return digest_of_json(self._json())

    def _json(self) -> dict[str, Any]:
        return {"schema": self.schema, "files": dict(self.files), "facts": dict(self.facts)}

    def write(self, folder: Path) -> None:
        """Write this manifest into `folder`."""
        write_json(folder / NAME, self._json())

    def check(
        self, folder: Path, *, thorough: bool = False, digest: Callable[[Path], str] = digest_of_file
    ) -> str | None:
        """The first problem with the files in `folder`, in words, or None; `thorough` also hashes large files, by
        `digest`."""
        for name, expected in self.files.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            size = path.stat().st_size
            if size != expected["bytes"]:
                return f"{name} has {size:,} bytes instead of {expected['bytes']:,}"
            if (thorough or size <= SMALL) and digest(path) != expected["sha256"]:
                return f"{name} has been changed"
        return None


def describe(folder: Path, schema: str, facts: Mapping[str, Any]) -> Manifest:
    """Create the manifest of all files in `folder`."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": digest_of_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NAME
    }
    return Manifest(schema, files, facts)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in `folder`. Raises StoreError if it is missing or invalid."""
    try:
        value = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return Manifest(value["schema"], dict(value["files"]), dict(value["facts"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder} holds no readable {NAME}: {error}") from error


def is_whole(folder: Path, manifest: Manifest) -> bool:
    """Whether the files of `folder`, including its own manifest, match `manifest`."""
    try:
        return read_manifest(folder) == manifest and manifest.check(folder, thorough=True) is None
    except StoreError:
        return False
