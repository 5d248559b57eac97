"""What a shared store needs of a storage backend: keys with bytes, and two conditional writes.

A key is a relative path with forward slashes (`actions/3f2a.json`). `create` and `replace` are atomic on all
machines: what they decide together is decided by one of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from charpipe.errors import StoreError


@dataclass(frozen=True)
class Stored:
    """The bytes at a key, and when they were written, by the clock of the storage.

    `version` changes when they change. It may be a digest of them: for a write to be noticed, it has to change them.
    """

    data: bytes
    version: str
    modified: datetime


@dataclass(frozen=True)
class Entry:
    """A key with its size in bytes, and when it was last written, by the clock of the storage."""

    key: str
    bytes: int
    modified: datetime


class Backend(Protocol):
    """A storage backend. `url` is shown to users and holds no secret.

    Raises StoreUnreachableError if the storage does not answer, StoreAccessError if it refuses, StoreError otherwise.
    """

    url: str

    def read(self, key: str) -> Stored | None:
        """The bytes at `key`; None if there are none."""
        ...

    def create(self, key: str, data: bytes) -> str | None:
        """Write `key` if it does not exist, and return its version; None if it exists."""
        ...

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """Write `key` if it still has this version, and return the new one; None if it has another, or is gone."""
        ...

    def upload(self, key: str, path: Path) -> None:
        """Write the file at `path` to `key`, whatever was there. Others see the old bytes or the new ones."""
        ...

    def download(self, key: str, path: Path) -> None:
        """Write the bytes at `key` to the file `path`. Raises StoreError if there are none."""
        ...

    def list(self, prefix: str) -> Iterator[Entry]:
        """Everything whose key starts with the folder `prefix`, which ends with `/` or is empty, in order."""
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Delete these keys; those that do not exist are ignored."""
        ...


def check_key(key: str) -> str:
    """Return `key`. Raises StoreError if it is not a relative path with forward slashes, or leads out of the store."""
    parts = key.split("/")
    if not key or "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise StoreError(f"{key!r} is not a key of a store: it is not a plain relative path")
    return key
