"""The backend `file://`: a folder, on this machine or on a network file system.

`create` is a hard link, which only one process can make. `replace` compares and renames under a file lock. Unfinished
files lie under `.temporary/`, where a collection finds what killed processes left.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from filelock import FileLock, Timeout

from charpipe.errors import StoreAccessError, StoreError, StoreUnreachableError, UsageError
from charpipe.store.atomic import umask
from charpipe.store.backends.backend import Entry, Stored, check_key
from charpipe.store.backends.download import local_file

TEMPORARY = ".temporary"
LOCKS = ".locks"
LOCK_SECONDS = 60.0
"""How long to wait for another process's conditional write, which takes milliseconds."""
_ATTEMPTS = 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links answer."""


def open_folder(url: str, endpoint: str | None = None) -> Folder:
    """The backend of a `file:///` URL. Raises UsageError if it is not the URL of an absolute path."""
    parts = urlsplit(url)
    path = Path(os.fsdecode(unquote_to_bytes(parts.path)))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or parts.query or parts.fragment:
        raise UsageError(f"{url!r} is not the URL of a folder; write file:/// and its absolute path")
    if endpoint is not None:
        raise UsageError("store.endpoint is for object storage (s3://); a file:// store has none")
    return Folder(path, url)


class Folder:
    """A folder as a storage backend; see `charpipe.store.backends.Backend`."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url

    def read(self, key: str) -> Stored | None:
        with self._errors(key):
            try:
                with self._path(key).open("rb") as file:
                    data, modified = file.read(), os.fstat(file.fileno()).st_mtime
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None
            return Stored(data, _version(data), datetime.fromtimestamp(modified, UTC))

    def create(self, key: str, data: bytes) -> str | None:
        with self._errors(key), self._written(data) as made:
            final = self._path(key)
            try:
                _place(final, lambda: os.link(made, final))
            except FileExistsError:
                return None
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                with self._lock(key):
                    if final.exists():
                        return None
                    _place(final, lambda: made.replace(final))
            _sync(final.parent)
            return _version(data)

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        with self._errors(key), self._written(data) as made, self._lock(key):
            found = self.read(key)
            if found is None or found.version != version:
                return None
            made.replace(self._path(key))
            return _version(data)

    def upload(self, key: str, path: Path) -> None:
        with self._errors(key), self._temporary() as made:
            shutil.copyfile(path, made)
            _sync(made)
            final = self._path(key)
            _place(final, lambda: made.replace(final))

    def download(self, key: str, path: Path) -> None:
        with self._errors(key):
            source = self._path(key)
            if not source.is_file():
                raise StoreError(f"{self.url} holds no {key}")
            with source.open("rb") as file, local_file(path) as copy:
                shutil.copyfileobj(file, copy, 1 << 20)

    def list(self, prefix: str) -> Iterator[Entry]:
        with self._errors(prefix):
            folder = self._path(prefix.rstrip("/")) if prefix else self.root
            for path in sorted(folder.rglob("*")):
                key = path.relative_to(self.root).as_posix()
                with suppress(FileNotFoundError):
                    status = path.lstat()
                    if not path.is_dir() and not key.startswith(f"{LOCKS}/"):
                        yield Entry(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            with self._errors(key):
                path = self._path(key)
                with suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()
                with suppress(OSError):  # it is not empty, or another process writes to it
                    while path.parent != self.root:
                        path = path.parent
                        path.rmdir()

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        folder = self.root / TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)
        os.fchmod(handle, 0o666 & ~umask())
        os.close(handle)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    @contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        with self._temporary() as made:
            with made.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield made

    @contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        folder = self.root / LOCKS
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:2]}.lock"
        try:
            with FileLock(path, timeout=LOCK_SECONDS, is_singleton=False, mode=0o666):
                yield
        except Timeout as error:
            raise StoreUnreachableError(
                f"{self.url} does not answer: another process has held {path} for {LOCK_SECONDS:.0f} s"
            ) from error

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno in _REFUSED:
                raise StoreAccessError(
                    f"{self.url} refuses access ({key}: {reason}); check the permissions of the folder"
                ) from error
            if error.errno in _FULL:
                raise StoreUnreachableError(f"{self.url} takes nothing more ({reason})") from error
            raise StoreUnreachableError(f"{self.url} does not answer ({key}: {reason})") from error


def _place(final: Path, place: Callable[[], object]) -> None:
    """Call `place` once the folder of `final` exists, which a deletion elsewhere may remove at any time."""
    for _ in range(_ATTEMPTS):
        final.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            place()
            return
    place()


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
