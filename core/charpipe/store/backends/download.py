"""The local file of a download: what fails there is this machine's fault, and not the shared store's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from charpipe.errors import StoreError


class Sink(Protocol):
    """What a download is written to."""

    def write(self, data: bytes | memoryview, /) -> object: ...


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")

    def write(self, data: bytes | memoryview) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _refused(self._path, error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise _refused(self._path, error) from error


@contextmanager
def local_file(path: Path) -> Iterator[Sink]:
    """Open `path` for a download. Raises StoreError if it cannot be written."""
    try:
        file = _File(path)
    except OSError as error:
        raise _refused(path, error) from error
    try:
        yield file
    finally:
        file.close()


def _refused(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path} cannot be written: {error.strerror or error}; nothing else was changed")
