"""Objects in a shared store: `objects/<digest>/` with the files of the object, and its `manifest.json` written last."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from charpipe.errors import StoreError
from charpipe.store.atomic import publish_folder
from charpipe.store.backends import Backend
from charpipe.store.digest import digest_of_file
from charpipe.store.manifest import NAME, Manifest, is_whole, read_manifest

FOLDER = "objects"
Progress = Callable[[int, int], None]


class DamagedObjectError(StoreError):
    """An object in the shared store does not match its digest."""


def manifest_of(backend: Backend, digest: str) -> Manifest | None:
    """The manifest of an object; None if the object is not there, or not whole yet.

    Raises DamagedObjectError if it is not the manifest of this digest.
    """
    stored = backend.read(f"{FOLDER}/{digest}/{NAME}")
    if stored is None:
        return None
    try:
        value = json.loads(stored.data)
        manifest = Manifest(value["schema"], dict(value["files"]), dict(value["facts"]))
        if manifest.digest == digest and all(_is_plain(name) for name in manifest.files):
            return manifest
    except (ValueError, KeyError, TypeError):
        pass
    raise DamagedObjectError(f"the manifest of {digest[:12]} is damaged")


def _is_plain(name: str) -> bool:
    path = PurePosixPath(name)
    return (
        not path.is_absolute() and ".." not in path.parts and name not in ("", ".", NAME) and "\0" not in name
    )


def push(
    backend: Backend,
    folder: Path,
    digest: str,
    *,
    repair: bool,
    check: Callable[[], None],
    progress: Progress,
) -> int:
    """Upload the object at `folder`, unless it is there, and return the bytes that went up.

    The manifest comes last and is only created, never overwritten. `check` is called before each write, and raises if
    this process may not write any more.
    """
    manifest = read_manifest(folder)
    if manifest.digest != digest or manifest.check(folder) is not None:
        raise StoreError(
            f"{folder} is damaged and was not pushed to {backend.url}; it is made again when needed"
        )
    if not repair and manifest_of(backend, digest) is not None:
        return 0
    total, done = sum(int(file["bytes"]) for file in manifest.files.values()), 0
    for name, file in manifest.files.items():
        check()
        progress(done, total)
        backend.upload(f"{FOLDER}/{digest}/{name}", folder / name)
        done += int(file["bytes"])
    check()
    progress(done, total)
    data, key = (folder / NAME).read_bytes(), f"{FOLDER}/{digest}/{NAME}"
    if backend.create(key, data) is None and repair:
        stored = backend.read(key)
        if stored is not None and stored.data != data:
            backend.replace(key, data, stored.version)
    return done


def pull(backend: Backend, digest: str, final: Path, making: Path, progress: Progress) -> int | None:
    """Download an object to the folder `final`, and return its bytes; None if it is not in the store.

    Every file is checked against the digests of the manifest before the object appears. Raises DamagedObjectError if
    one does not match, or is missing.
    """
    manifest = manifest_of(backend, digest)
    if manifest is None:
        return None
    if is_whole(final, manifest):
        return 0
    total, done = sum(int(file["bytes"]) for file in manifest.files.values()), 0
    making.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=making, prefix="pull-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / digest
        folder.mkdir()
        for name, file in manifest.files.items():
            progress(done, total)
            _pull_file(backend, digest, name, file, folder / name)
            done += int(file["bytes"])
        manifest.write(folder)
        progress(done, total)
        if final.is_dir() and not is_whole(final, manifest):
            shutil.rmtree(final)
        publish_folder(folder, final)
    return done


def _pull_file(backend: Backend, digest: str, name: str, expected: object, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        backend.download(f"{FOLDER}/{digest}/{name}", path)
    except StoreError as error:
        if type(error) is StoreError and not path.exists():
            raise DamagedObjectError(f"{name} of {digest[:12]} is missing") from error
        raise
    assert isinstance(expected, dict)
    if path.stat().st_size != expected["bytes"] or digest_of_file(path) != expected["sha256"]:
        raise DamagedObjectError(f"{name} of {digest[:12]} is damaged")
