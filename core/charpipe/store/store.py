"""The store: objects by content digest, and records of which action made each object."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from charpipe.errors import StoreError
from charpipe.store.actions import Action, difference
from charpipe.store.atomic import publish_folder, write_json
from charpipe.store.locks import exclusive
from charpipe.store.manifest import Manifest, describe, read_manifest

Make = Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True)
class Built:
    """An object in the store. `reused`: it existed before; `why`: the reason it was built."""

    path: Path
    digest: str
    facts: Mapping[str, Any]
    reused: bool
    why: str = ""


class Store:
    """The store at `root`: `objects/<digest>/`, `actions/<digest>.json`, `locks/`, `making/`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def object(self, digest: str) -> Path:
        """The path of the object with this digest, whether or not it exists."""
        return self.root / "objects" / digest

    def find(self, action: Action) -> Built | None:
        """The stored result of `action`, if it exists and is intact. Touches its record, which marks it as used."""
        path = self._record(action)
        record = _read(path)
        if record is None:
            return None
        with suppress(OSError):
            os.utime(path)
        folder = self.object(record["object"])
        try:
            manifest = read_manifest(folder)
        except StoreError:
            return None
        if manifest.check(folder) is not None:
            return None
        return Built(folder, record["object"], manifest.facts, reused=True)

    def made(self, digest: str) -> dict[str, Any] | None:
        """The newest action record for the object with this digest, or None."""
        same = [record for _, record in self.records() if record["object"] == digest]
        return max(same, key=lambda record: str(record["made"]), default=None)

    def records(self) -> list[tuple[Path, dict[str, Any]]]:
        """Every readable action record, with its path."""
        paths = sorted((self.root / "actions").glob("*.json"))
        return [(path, record) for path in paths if (record := _read(path)) is not None]

    def last(self, subject: str, stage: str) -> Path | None:
        """The folder of the latest object that this stage made for the subject, or None."""
        record = self._last(stage, subject)
        folder = self.object(record["object"]) if record else None
        return folder if folder is not None and folder.is_dir() else None

    def why(self, action: Action, subject: str) -> str:
        """How `action` differs from the latest action of its stage for the same subject, in words."""
        last = self._last(action.stage, subject)
        if last is None:
            return "first time"
        return difference(last["action"], action.to_json())

    def build(
        self,
        action: Action,
        make: Make,
        subject: str,
        *,
        force: bool = False,
        on_wait: Callable[[str], None] = lambda holder: None,
        on_start: Callable[[str], None] = lambda why: None,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> Built:
        """Return the object of `action`, from the store or made by `make(folder)`.

        `make` fills an empty folder and returns facts. If another process builds the same action, this one waits:
        `on_wait` is called with the holder, and `while_waiting` may raise to stop waiting. `on_start` is called with
        the reason for building.
        """
        if not force and (found := self.find(action)):
            return found
        why = "forced" if force else self.why(action, subject)
        with self.lock(action, on_wait, while_waiting):
            if not force and (found := self.find(action)):
                return found
            on_start(why)
            return self.make(action, make, subject, why)

    def lock(
        self,
        action: Action,
        on_wait: Callable[[str], None] = lambda holder: None,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> AbstractContextManager[None]:
        """The lock of `action`, which one process at a time can hold; see `exclusive`."""
        return exclusive(self.root / "locks" / f"{action.digest}.lock", on_wait, while_waiting)

    def make(self, action: Action, make: Make, subject: str, why: str = "") -> Built:
        """Build and record the object of `action` even if it exists. The caller must hold its `lock`."""
        digest, manifest = self._make(action, make)
        record = {"action": action.to_json(), "object": digest, "subject": subject, "made": _now()}
        write_json(self._record(action), record)
        return Built(self.object(digest), digest, manifest.facts, reused=False, why=why)

    def _make(self, action: Action, make: Make) -> tuple[str, Manifest]:
        making = self.root / "making"
        making.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=making, prefix=f"{action.stage}-"))
        try:
            facts = make(folder)
            manifest = describe(folder, f"charpipe.{action.stage}/{action.version}", facts)
            manifest.write(folder)
            final = self.object(manifest.digest)
            if final.is_dir() and not _is_whole(final, manifest):
                shutil.rmtree(final)
            publish_folder(folder, final)
        except OSError as error:
            raise StoreError(
                f"{action.stage} could not be written to {self.root}: {error.strerror or error}; "
                "the previous content is intact"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return manifest.digest, manifest

    def _record(self, action: Action) -> Path:
        return self.root / "actions" / f"{action.digest}.json"

    def _last(self, stage: str, subject: str) -> dict[str, Any] | None:
        records = [record for _, record in self.records()]
        same = [r for r in records if r["subject"] == subject and r["action"]["stage"] == stage]
        return max(same, key=lambda record: str(record["made"]), default=None)


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    """Whether the files of `folder`, including its own manifest, match `manifest`."""
    try:
        return read_manifest(folder) == manifest and manifest.check(folder, thorough=True) is None
    except StoreError:
        return False


def _read(path: Path) -> dict[str, Any] | None:
    """Read a record; None if it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    kinds = {"action": dict, "object": str, "subject": str, "made": str}
    whole = isinstance(value, dict) and all(isinstance(value.get(key), kind) for key, kind in kinds.items())
    return value if whole else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
